"""A folder of images: which files belong to it, and no writing into it."""

import os
import shlex
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Callable, Optional, Union

from mmlgd.errors import ConfigError, MissingFileError, MMLGDError, shown
from mmlgd.utils.configs import kind_of
from mmlgd.utils.paths import OTHER_SUFFIXES

_CONVERT = 'These formats are not read: convert such files to .jpg or .png.'


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
        inside = os.path.relpath(place, folder)  # once for a folder: for each file it would take most of the time
        for entry in _entries(place):
            if _is(entry.is_dir):
                (linked if entry.is_symlink() else waiting).append(entry.path)
            elif entry.name.lower().endswith(endings) and _is(entry.is_file):
                yield entry.name if inside == os.curdir else os.path.join(inside, entry.name)


def sorted_images(folder: Union[str, Path], endings: Sequence[str]) -> tuple[list[str], str]:
    """List the images of a folder in order, and say which files are images of formats that are not read.

    Args:
        folder (str | Path): The folder, see :func:`images_in`.
        endings (Sequence[str]): Suffixes of the files' names, in lower case.

    Returns:
        Tuple[List[str], str]: Paths relative to the folder, sorted; at least one. And a sentence on the files that end
        with one of :data:`~mmlgd.utils.paths.OTHER_SUFFIXES`; empty if there are none.

    Raises:
        MissingFileError: There is no such folder, or no image in it.
        UnreadableFolderError: The folder, or one of its sub-folders, may not be read.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ('b.jpg', 'a.PNG', 'c.heic'):
        ...     (folder / name).touch()
        >>> images, note = sorted_images(folder, ('.jpg', '.png'))
        >>> images
        ['a.PNG', 'b.jpg']
        >>> 'leaves out 1 .heic' in note
        True
    """
    endings = tuple(endings)
    found = sorted(images_in(folder, (*endings, *OTHER_SUFFIXES)))
    images = [name for name in found if name.lower().endswith(endings)]
    if not images:
        raise no_images(folder, endings)
    others = _counted(name for name in found if not name.lower().endswith(endings)) if len(images) < len(found) else ''
    return images, f'The list of images in {shown(folder)} leaves out {others}. {_CONVERT}' if others else ''


def no_images(folder: Union[str, Path], endings: Sequence[str]) -> MissingFileError:
    """Make the error for a folder without images.

    Args:
        folder (str | Path): The folder.
        endings (Sequence[str]): Of the files that are images.

    Returns:
        MissingFileError: It names files of other formats, if there are some.
    """
    others = _counted(images_in(folder, OTHER_SUFFIXES))
    instead = f'It has {others}. {_CONVERT}' if others else 'Give a folder of images.'
    return MissingFileError(f'No file in {shown(folder)} or its sub-folders ends with {", ".join(endings)}. {instead}')


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
            f'{option} {shown(shlex.quote(str(beside)))}'
        )


def folder_of(dataset: dict) -> Optional[Path]:
    """Find the folder of images, or the shards, that a data set reads completely.

    Args:
        dataset (dict): Its config. A data set around it (repeated, from a store) has it as ``dataset``.

    Returns:
        Path, optional: A folder, or for ``mmlgd.ImageShards`` its pattern, see
        :func:`~mmlgd.datasets.shards.shards_of`. None if a list names the images, or if it is none of these data sets.

    Examples:
        >>> folder_of(dict(type='mmlgd.Images', data_root='photos', data_prefix='new')).as_posix()
        'photos/new'
    """
    if not isinstance(dataset, dict):  # the config is anyone's
        return None
    while isinstance(dataset.get('dataset'), dict):
        dataset = dataset['dataset']
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or ''
    is_whole = kind_of(dataset) in ('Images', 'ImageShards', 'CustomDataset') and not dataset.get('ann_file')
    prefix = prefix.get('img_path', '') if isinstance(prefix, dict) else prefix
    are_texts = isinstance(root, (str, Path)) and isinstance(prefix, (str, Path))
    if not (is_whole and are_texts and (root or prefix)) or '://' in f'{root}{prefix}':
        return None
    # The data sets themselves read ~ in the shards of data_root and in data_prefix.
    root = os.path.expanduser(root) if kind_of(dataset) == 'ImageShards' else root
    return Path(root, os.path.expanduser(prefix))


def _counted(names: Iterable[str]) -> str:
    """Count the files of formats that are not read: '3 .gif, 1 .heic'."""
    counts = Counter(os.path.splitext(name)[1].lower() for name in names)
    return ', '.join(f'{counts[ending]} {ending}' for ending in sorted({*counts} & {*OTHER_SUFFIXES}))


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
