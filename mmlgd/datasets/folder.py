"""A folder of images: which files belong to it, and no writing into it."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, Optional, Union

from mmlgd.errors import ConfigError, MissingFileError, MMLGDError, shown
from mmlgd.utils.configs import kind_of


class UnreadableFolderError(MMLGDError, OSError):
    """A folder whose files cannot be listed."""


def images_in(folder: Union[str, Path], endings: Sequence[str]) -> Iterator[str]:
    """List the images of a folder and its sub-folders, for checks, training, evaluation and prediction alike.

    The list has only regular files (no pipes, devices or broken links). It skips hidden files and folders, whose names
    begin with a dot (``._x.jpg`` of macOS, ``.thumbnails``). Links to files and folders are followed. Each folder
    counts once, under its own path if it lies in this folder, so that a loop of links ends.

    Args:
        folder (str | Path): The folder.
        endings (Sequence[str]): Suffixes of the files' names, in lower case: ``'.jpg'`` finds ``a.JPG`` as well.

    Yields:
        str: Paths relative to the folder. The order is the same in each call, but it is not sorted as a whole.

    Raises:
        MissingFileError: There is no such folder.
        UnreadableFolderError: The folder, or one of its sub-folders, may not be read.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ('b.jpg', 'a.PNG', '._a.PNG', 'names.txt'):
        ...     (folder / name).touch()
        >>> list(images_in(folder, ('.jpg', '.png')))
        ['a.PNG', 'b.jpg']
    """
    folder, endings = str(folder), tuple(endings)
    if not os.path.isdir(folder):
        raise MissingFileError(f'There is no folder of images at {shown(folder)}.')
    seen, waiting, linked = set(), deque([folder]), deque()
    around = os.path.join(os.path.realpath(folder), '')
    while waiting or linked:
        place = (waiting or linked).popleft()
        real = os.path.realpath(place)
        if real in seen or (place != folder and around.startswith(os.path.join(real, ''))):
            continue
        seen.add(real)
        for entry in _entries(place):
            if _is(entry.is_dir):
                (linked if entry.is_symlink() else waiting).append(entry.path)
            elif entry.name.lower().endswith(endings) and _is(entry.is_file):
                yield os.path.relpath(entry.path, folder)


def require_outside(place: Union[str, Path], images: Union[str, Path], what: str, option: str) -> None:
    """Refuse to write into a folder of images: figures of a run there would become images of the next run.

    Args:
        place (str | Path): Of a run, a store or a table; it need not exist.
        images (str | Path): The folder of images.
        what (str): What is written there, for the error.
        option (str): The option that sets another place.

    Raises:
        ConfigError: It is the folder of images or lies inside it; the message suggests a place beside it.

    Examples:
        >>> require_outside('work_dirs/run', 'photos', 'the work dir', '--work-dir')
    """
    inner, outer = Path(place).resolve(), Path(images).resolve()
    if outer in (inner, *inner.parents):
        beside = outer.with_name(f'{outer.name}_{inner.name}') if outer.name else inner
        raise ConfigError(
            f'{what} {shown(inner)} lies in the folder of images {shown(outer)}, which is read with all its '
            f'sub-folders: figures of this run would become images of the next one. Give a place outside, for example '
            f'{option} {shown(beside)}.'
        )


def folder_of(dataset: dict) -> Optional[Path]:
    """Find the folder of images, or the shards, that a data set reads completely.

    Args:
        dataset (dict): Its config. A data set around it (repeated, from a store) has it as ``dataset``.

    Returns:
        Path, optional: A folder, or for ``mmlgd.ImageShards`` its pattern, see
        :func:`~mmlgd.datasets.shards.shards_of`. None if a list names the images, or if it is another kind of data set.

    Examples:
        >>> folder_of(dict(type='mmlgd.Images', data_root='photos', data_prefix='new')).as_posix()
        'photos/new'
    """
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or ''
    is_whole = kind_of(dataset) in ('Images', 'ImageShards', 'CustomDataset') and not dataset.get('ann_file')
    prefix = prefix.get('img_path', '') if isinstance(prefix, dict) else prefix
    return Path(root, prefix) if is_whole and (root or prefix) and '://' not in f'{root}{prefix}' else None


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith('.')), key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableFolderError(
            f'The folder {shown(folder)} cannot be read ({error.strerror}). Change its permissions, or move it out of '
            f'the folder of images.'
        ) from error


def _is(kind: Callable[[], bool]) -> bool:
    """Return whether an entry is of a kind; a link to itself is of no kind."""
    try:
        return kind()
    except OSError:
        return False
