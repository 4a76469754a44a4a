"""Runs that can be stopped at any moment: complete checkpoints, and resuming from the last complete one."""

import os
import re
import shlex
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.utils.configs import kind_of
from mmlgd.utils.files import read_small, write_whole

from .archives import archive_fault
from .files import CheckpointError

_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
_NOTE = 'last_checkpoint'
_NONE_YET = 'iter_0.pth'  # in that note, from the start of a run to its first checkpoint


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
        raise ConfigError(
            f'{config} was written for the work dir {work_dir!r}, but lies in {str(place)!r}: was it moved or '
            f'copied? Choose one: --work-dir {shlex.quote(str(place))} continues the run there.'
        )


def begin_anew(work_dir: Union[str, Path]) -> None:
    """Note that the checkpoints in a work dir are of an earlier run, and that the new one has none yet.

    Without the note, a run that is stopped before its first checkpoint would resume from the end of the earlier one.

    Args:
        work_dir (str | Path): Of a run that does not resume.

    Raises:
        WriteError: The folder is not writable.
    """
    note = Path(work_dir, _NOTE)
    if note.is_file() or _numbered(note.parent):
        write_whole(note, _NONE_YET.encode())


def noted_checkpoint(work_dir: Union[str, Path]) -> Optional[Path]:
    """Read which checkpoint a run wrote last.

    Args:
        work_dir (str | Path): Of the run.

    Returns:
        Path, optional: As it was noted, unchecked. None if the run has written none.
    """
    named = _noted(Path(work_dir))
    return Path(named) if named not in ('', _NONE_YET) else None


def last_whole_checkpoint(work_dir: Union[str, Path]) -> Optional[Path]:
    """Find the checkpoint to resume from.

    This is the one that mmengine's ``last_checkpoint`` names. If it is damaged or lost, it is the one before, by the
    number in its name, not by time. All bytes of a checkpoint are compared with their checksums.

    Args:
        work_dir (str | Path): Of the run. ``last_checkpoint`` also leads to checkpoints elsewhere (``out_dir``).

    Returns:
        Path, optional: None if the run has never written a checkpoint.

    Raises:
        CheckpointError: There were checkpoints, and none is complete; the message says what is wrong with each.
    """
    work_dir = Path(work_dir)
    named = _noted(work_dir)
    if named == _NONE_YET:
        return None
    # First by name in the work dir, which may have been moved or copied.
    last = next((file for file in (work_dir / Path(named).name, Path(named)) if named and file.exists()), None)
    folder = last.parent if last else work_dir
    numbers = _numbered(folder)
    others = sorted(numbers, key=numbers.get, reverse=True)
    if last:
        others = [last, *(file for file in others if numbers[file] < numbers.get(last, 0))]
    faults = {}
    for file in others:
        if not (fault := _fault(file)):
            return file
        faults[file] = fault
        print_log(f'The checkpoint {file} is damaged (it {fault}): looking for the one before it.', 'current', 30)
    # Also an empty last_checkpoint: the disk was full, or the run killed at that moment.
    if faults or (work_dir / _NOTE).is_file():
        told = '; '.join(f'{file.name} {fault}' for file, fault in faults.items()) or f'{named!r} does not exist'
        raise CheckpointError(
            f'There is no complete checkpoint in {str(folder)!r} to resume from: {told}. Put a copy back, or start '
            f'from the beginning without --resume.'
        )
    return None


def _noted(work_dir: Path) -> str:
    note = work_dir / _NOTE
    return os.fsdecode(read_small(note)).strip() if note.is_file() else ''


def _numbered(folder: Path) -> dict[Path, int]:
    return {file: int(match[2]) for file in folder.glob('*.pth') if (match := _NAME.fullmatch(file.name))}


def _fault(file: Path) -> str:
    """Read a checkpoint and say what is wrong with it; empty if nothing is."""
    return '' if file.is_dir() else archive_fault(file, through=True)  # a folder: another library's sharded checkpoint
