"""Runs that can be stopped at any moment: whole checkpoints, and the last whole one to go on from."""

import os
import re
import shlex
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.utils.files import read_small

from .archives import archive_fault
from .files import CheckpointError

_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')


def save_whole(cfg: Config) -> None:
    """Let a config that uses mmengine's ``CheckpointHook`` write its checkpoints with ours, in place.

    Args:
        cfg (Config): Of any training.

    Examples:
        >>> cfg = Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=5))))
        >>> save_whole(cfg)
        >>> cfg.default_hooks.checkpoint
        {'type': 'mmlgd.AtomicCheckpointHook', 'interval': 5}
    """
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))  # mmengine's default; None is for none
    # A config in pure Python has the class, or its full name.
    if hook and getattr(hook['type'], '__name__', hook['type']).split('.')[-1] == 'CheckpointHook':
        cfg.default_hooks = {**hooks, 'checkpoint': {**hook, 'type': 'mmlgd.AtomicCheckpointHook'}}


def resume_whole(cfg: Config) -> None:
    """Let a config that resumes go on from a checkpoint that is whole, in place.

    Args:
        cfg (Config): With ``resume``, and ``load_from`` if a certain checkpoint is meant; else the last whole one in
            ``work_dir`` is taken. Without any there, the run starts from the beginning.

    Raises:
        FileNotFoundError: The checkpoint that is meant is not there.
        CheckpointError: It is damaged; or all in ``work_dir`` are, and the message names them.
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
                f'Cannot resume from {cfg.load_from}: {fault}. Give an earlier one, or --resume alone, which takes '
                f'the last whole one in the work dir.'
            )


def refuse_moved(config: Path, work_dir: Optional[str]) -> None:
    """Refuse a config of ``mmlgd pretrain``, which lies in its work dir, where that was moved or copied.

    Args:
        config (Path): The file, ``WORK_DIR/recipe/pretrain.py``.
        work_dir (str, optional): What it says.

    Raises:
        ConfigError: It says another one, where a run would find no checkpoints; both may be meant.
    """
    folder = config.resolve().parent
    place, is_recipe = folder.parent, config.name == 'pretrain.py' and folder.name == 'recipe'
    if is_recipe and work_dir and Path(work_dir).resolve() != place:
        raise ConfigError(
            f'{config} was written for the work dir {work_dir!r}, and lies in {str(place)!r} now: was it moved or '
            f'copied? Say which one is meant: --work-dir {shlex.quote(str(place))} goes on with what is there.'
        )


def last_whole_checkpoint(work_dir: Union[str, Path]) -> Optional[Path]:
    """Find the checkpoint to resume from.

    That is the one which mmengine's ``last_checkpoint`` names; if it is damaged or lost, the one before it, by the
    number in its name: a clock that jumps changes nothing. Of each, all bytes are compared with their checksums.

    Args:
        work_dir (str | Path): Of the run. Checkpoints elsewhere (``out_dir``) are found by ``last_checkpoint``.

    Returns:
        Path, optional: None if there has never been a checkpoint.

    Raises:
        CheckpointError: There have been some, and none is whole; the message says what is wrong with each.
    """
    work_dir = Path(work_dir)
    note = work_dir / 'last_checkpoint'
    named = os.fsdecode(read_small(note)).strip() if note.is_file() else ''
    # A work dir that was moved or copied has its own.
    last = next((file for file in (work_dir / Path(named).name, Path(named)) if named and file.exists()), None)
    folder = last.parent if last else work_dir
    numbers = {file: int(match[2]) for file in folder.glob('*.pth') if (match := _NAME.fullmatch(file.name))}
    others = sorted(numbers, key=numbers.get, reverse=True)
    if last:
        others = [last, *(file for file in others if numbers[file] < numbers.get(last, 0))]
    faults = {}
    for file in others:
        if not (fault := _fault(file)):
            return file
        faults[file] = fault
        print_log(f'The checkpoint {file} is no good ({fault}): looking for the one before it.', 'current', 30)
    if faults or note.is_file():  # an empty one, too: a full disk or a kill as it was written
        told = '; '.join(f'{file.name} {fault}' for file, fault in faults.items()) or f'{named!r} is not there'
        raise CheckpointError(
            f'There is no whole checkpoint in {str(folder)!r} to resume from: {told}. Start anew without --resume, or '
            f'put a copy back.'
        )
    return None


def _fault(file: Path) -> str:
    """Read a checkpoint and say what is wrong with it, or nothing."""
    return '' if file.is_dir() else archive_fault(file, through=True)  # a folder: a sharded one, of another library
