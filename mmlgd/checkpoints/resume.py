"""Runs that can be stopped at any moment: complete checkpoints, and resuming from the last complete one."""

import shlex
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.utils.configs import kind_of

from .archives import archive_fault
from .files import CheckpointError
from .last import NONE_YET, checkpoints_of, noted


def save_whole(cfg: Config) -> None:
    """Replace mmengine's ``CheckpointHook`` in a config by ours, in place.

    Args:
        cfg (Config): Of any training.

    Examples:
        >>> cfg = Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=5))))
        >>> save_whole(cfg)
        >>> cfg.default_hooks.checkpoint
        {'type': 'mmlgd.AtomicCheckpointHook', 'interval': 5}
    """
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))  # mmengine's default; None switches it off
    # A config in pure Python has the class itself, or its full name.
    if hook and kind_of(hook) == 'CheckpointHook':
        cfg.default_hooks = {**hooks, 'checkpoint': {**hook, 'type': 'mmlgd.AtomicCheckpointHook'}}


def resume_whole(cfg: Config) -> None:
    """Make a config with ``resume`` continue from a complete checkpoint, in place.

    Args:
        cfg (Config): With ``resume``, and with ``load_from`` for a certain checkpoint. Without ``load_from``, the last
            complete checkpoint in ``work_dir`` is used; if there is none, the run starts from the beginning.

    Raises:
        FileNotFoundError: The given checkpoint does not exist.
        CheckpointError: It is damaged, or all checkpoints in ``work_dir`` are damaged; the message names them.
    """
    if not cfg.get('resume'):
        return
    if not cfg.get('load_from'):
        found = last_whole_checkpoint(cfg.work_dir)
        cfg.resume, cfg.load_from = found is not None, found and str(found)
        print_log(f'Resuming from {found}.' if found else f'Nothing to resume in {cfg.work_dir}: a new run.', 'current')
    elif '://' not in cfg.load_from:
        if not Path(cfg.load_from).exists():
            raise MissingFileError(f'There is no checkpoint to resume from at {cfg.load_from!r}.')
        if fault := _fault(Path(cfg.load_from)):
            raise CheckpointError(
                f'Cannot resume from {cfg.load_from}: it {fault}. Give an earlier one, or --resume alone, which takes '
                f'the last complete one in the work dir.'
            )


_VERBS = ('pretrain', 'detect', 'segment')  # those that write a config


def refuse_moved(config: Path, work_dir: Optional[str]) -> None:
    """Refuse a config that a verb wrote, whose work dir was moved or copied; the config lies in the work dir.

    Args:
        config (Path): The file, ``WORK_DIR/recipe/VERB.py``.
        work_dir (str, optional): The work dir in the config.

    Raises:
        ConfigError: The config has another work dir than its own place; the user has to choose.
    """
    folder = config.resolve().parent
    place, is_recipe = folder.parent, config.stem in _VERBS and folder.name == 'recipe'
    if is_recipe and work_dir and Path(work_dir).resolve() != place:
        here = f'--work-dir {shlex.quote(str(place))}'
        # Boxes and masks have lists of images in the work dir, whose paths are in the config.
        again = here if config.stem == 'pretrain' else f'its `mmlgd {config.stem}` with {here} --resume'
        raise ConfigError(
            f'{config} was written for the work dir {work_dir!r}, but lies in {str(place)!r}: was it moved or '
            f'copied? Choose one: {again} continues the run there.'
        )


def last_whole_checkpoint(
    work_dir: Union[str, Path], otherwise: str = 'start from the beginning without --resume'
) -> Optional[Path]:
    """Find the checkpoint to resume from.

    This is the one that mmengine's ``last_checkpoint`` names. If it is damaged or lost, it is the one before, by the
    number in its name, not by time. All bytes of a checkpoint are compared with their checksums.

    Args:
        work_dir (str | Path): Of the run. ``last_checkpoint`` also leads to checkpoints elsewhere (``out_dir``).
        otherwise (str): What to do if none is complete and there is no copy, for the message. Defaults to that of a run
            that is resumed.

    Returns:
        Path, optional: None if the run has never written a checkpoint.

    Raises:
        CheckpointError: There were checkpoints, and none is complete; the message says what is wrong with each.
    """
    found, named, faults = checkpoints_of(work_dir), noted(work_dir), {}
    for file in found:
        if not (fault := _fault(file)):
            return file
        faults[file] = fault
        print_log(f'The checkpoint {file} is damaged (it {fault}): looking for the one before it.', 'current', 30)
    if not found and named in (None, NONE_YET):
        return None
    # Also an empty last_checkpoint: the disk was full, or the run killed at that moment.
    told = '; '.join(f'{file.name} {fault}' for file, fault in faults.items()) or f'{named!r} does not exist'
    folder = found[0].parent if found else work_dir
    raise CheckpointError(
        f'There is no complete checkpoint in {str(folder)!r}: {told}. Put a copy back, or {otherwise}.'
    )


def _fault(file: Path) -> str:
    """Read a checkpoint and say what is wrong with it; empty if nothing is."""
    return '' if file.is_dir() else archive_fault(file, through=True)  # a folder: another library's sharded checkpoint
