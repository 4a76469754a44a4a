"""Where images and labels of one data set lie: which file belongs to which, and to which split."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Optional

from mmlgd.errors import MMLGDError

# Folders that a format puts around images or labels; without them, an image and its labels have one path.
_KINDS = {'annotations', 'images', 'imgs', 'jpegimages', 'labels', 'obj_train_data', 'xml', 'xmls'}
_SPLITS = dict(train='train', training='train', val='val', valid='val', validation='val', test='test', testing='test')


class BoxesError(MMLGDError, ValueError):
    """Boxes that cannot be read, or that do not fit their images or names."""


def split_of(path: PurePath) -> Optional[str]:
    """Find the split that a path names.

    Args:
        path (PurePath): Relative to the folder of the data.

    Returns:
        str, optional: ``'train'``, ``'val'`` or ``'test'``, by a folder or by the beginning or end of the file's name;
        None if it names none.

    Examples:
        >>> split_of(Path('valid/labels/a.txt')), split_of(Path('annotations/instances_train2017.json'))
        ('val', 'train')
        >>> split_of(Path('Annotations/a.xml'))
    """
    for part in path.parts[:-1]:
        if split := _SPLITS.get(part.lower().rstrip('0123456789')):
            return split
    words = path.stem.lower().replace('-', '_').split('_') if path.suffix == '.json' else []
    return next((_SPLITS[word] for word in (one.rstrip('0123456789') for one in words) if word in _SPLITS), None)


def by_key(files: Iterable[PurePath]) -> dict[PurePath, PurePath]:
    """Index files by what an image and its labels have in common.

    Args:
        files (Iterable[PurePath]): Relative to the folder of the data.

    Returns:
        Dict[PurePath, PurePath]: Files by :func:`key_of`.
    """
    return {key_of(file): file for file in files}


def key_of(file: PurePath) -> PurePath:
    """Name what an image and its labels have in common: the path without its ending and without folders of a format.

    Args:
        file (PurePath): Relative to the folder of the data.

    Returns:
        PurePath: The key.

    Examples:
        >>> key_of(Path('labels/train/a.txt')) == key_of(Path('images/train/a.jpg')) == Path('train/a')
        True
    """
    return PurePath(*(part for part in file.parts[:-1] if part.lower() not in _KINDS), file.stem)


def files_in(data: Path, ending: str) -> Iterator[PurePath]:
    """List the files of a folder and its sub-folders that have an ending, sorted, without hidden ones.

    Args:
        data (Path): The folder.
        ending (str): Their ending, in lower case.

    Yields:
        PurePath: Paths relative to the folder.
    """
    for path in sorted(data.rglob('*')):
        relative = path.relative_to(data)
        if path.suffix.lower() == ending and path.is_file() and not any(p.startswith('.') for p in relative.parts):
            yield relative
