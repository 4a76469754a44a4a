"""Which checkpoint of a run is its last one: the one that its own note names, else the one with the highest number."""

import os
import re
from pathlib import Path
from typing import Optional, Union

from mmlgd.utils.files import read_small, write_whole

_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
_NOTE = 'last_checkpoint'
NONE_YET = 'iter_0.pth'  # in that note, from the start of a run to its first checkpoint


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
        write_whole(note, NONE_YET.encode())


def noted(work_dir: Union[str, Path]) -> Optional[str]:
    """Read the note of a run.

    Args:
        work_dir (str | Path): Of the run.

    Returns:
        str, optional: What it names as the last checkpoint; :data:`NONE_YET` if the run has written none, and empty if
        it was stopped while it wrote the note. None without a note.
    """
    note = Path(work_dir, _NOTE)
    return os.fsdecode(read_small(note)).strip() if note.is_file() else None


def checkpoints_of(work_dir: Union[str, Path]) -> list[Path]:
    """List the checkpoints of a run, unread, from the last one to the first.

    The last one is the one that mmengine's note ``last_checkpoint`` names. Those before it, or all if it is not there,
    follow by the number in their names, not by time.

    Args:
        work_dir (str | Path): Of the run. The note also leads to checkpoints elsewhere (``out_dir``).

    Returns:
        List[Path]: Empty if the run has written none. None is of an earlier run in the same folder, see
        :func:`begin_anew`.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ('epoch_9.pth', 'epoch_10.pth', 'best_mIoU_epoch_9.pth'):
        ...     (folder / name).touch()
        >>> [file.name for file in checkpoints_of(folder)]
        ['epoch_10.pth', 'epoch_9.pth']
    """
    work_dir, named = Path(work_dir), noted(work_dir)
    if named == NONE_YET:
        return []
    # First by name in the work dir, which may have been moved or copied.
    places = (work_dir / Path(named).name, Path(named)) if named else ()
    last = next((file for file in places if file.exists()), None)
    numbers = _numbered(last.parent if last else work_dir)
    others = sorted(numbers, key=numbers.get, reverse=True)
    return [last, *(file for file in others if numbers[file] < numbers.get(last, 0))] if last else others


def _numbered(folder: Path) -> dict[Path, int]:
    return {file: int(match[2]) for file in folder.glob('*.pth') if (match := _NAME.fullmatch(file.name))}
