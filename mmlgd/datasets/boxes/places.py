"""Where images and labels of one data set lie: which file belongs to which, and to which split."""

from collections.abc import Hashable, Iterable
from pathlib import Path, PurePath
from typing import Optional

from mmlgd.datasets.folder import images_in
from mmlgd.datasets.part_lists import part_named
from mmlgd.errors import MMLGDError, shown

# Folders that a format puts around images or labels; without them, an image and its labels have one path.
_KINDS = {'annotations', 'images', 'imgs', 'jpegimages', 'labels', 'obj_train_data', 'xml', 'xmls'}


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
        if split := part_named(part):
            return split
    words = path.stem.lower().replace('-', '_').split('_') if path.suffix.lower() == '.json' else []
    return next(filter(None, map(part_named, words)), None)


def parts_of(
    images: Iterable[PurePath], listed: dict[str, list[PurePath]]
) -> tuple[dict[Optional[str], list[PurePath]], list[str]]:
    """Sort images into the parts of a data set: those of its lists, and for a part without a list those of its folders.

    Where there is a part for training, images without a part are left out.

    Args:
        images (Iterable[PurePath]): Relative to the folder of the data.
        listed (Dict[str, List[PurePath]]): Of :func:`~mmlgd.datasets.part_lists.listed_parts`.

    Returns:
        Tuple[Dict[str, List[PurePath]], List[str]]: The images of each part (``'train'``, ``'val'``, ``'test'``; None
        if neither a list nor a folder names one), and what is left out: a sentence, or none.

    Examples:
        >>> parts, notes = parts_of(map(Path, ['images/a.jpg', 'images/b.jpg']), dict(train=[Path('images/a.jpg')]))
        >>> list(parts), notes
        (['train'], ['1 images are in no list or folder of a part, and are left out; the first is images/b.jpg.'])
    """
    parts: dict[Optional[str], list[PurePath]] = {part: list(those) for part, those in listed.items()}
    named, lost = {image for those in listed.values() for image in those}, []
    for image in images:
        if image in named:
            continue
        part = split_of(image)
        if listed and (part is None or part in listed):
            lost.append(image)
        else:
            parts.setdefault(part, []).append(image)
    if 'train' in parts:
        lost += parts.pop(None, [])
    if not lost:
        return parts, []
    first = shown(lost[0])
    return parts, [f'{len(lost)} images are in no list or folder of a part, and are left out; the first is {first}.']


def in_both(train: Iterable[Hashable], val: Iterable[Hashable]) -> list[str]:
    """Tell how many images are both to train and to validate.

    Args:
        train (Iterable): Those to train.
        val (Iterable): Those to validate.

    Returns:
        List[str]: A sentence, or none.

    Examples:
        >>> in_both('ab', 'bc')
        ['1 of the 2 images to validate are among those to train: their score says little about other images.']
    """
    val = {*val}
    both = val.intersection(train)
    told = f'{len(both)} of the {len(val)} images to validate are among those to train: their score says little about '
    return [f'{told}other images.'] if both else []


def by_key(files: Iterable[PurePath]) -> dict[PurePath, PurePath]:
    """Index files by what an image and its labels have in common.

    Args:
        files (Iterable[PurePath]): Relative to the folder of the data.

    Returns:
        Dict[PurePath, PurePath]: Files by :func:`key_of`.

    Raises:
        BoxesError: Two files have one key.
    """
    found: dict[PurePath, PurePath] = {}
    for file in files:
        if (other := found.setdefault(key_of(file), file)) != file:
            raise BoxesError(
                f'{shown(other)} and {shown(file)} belong to the same name, {key_of(file).name!r}: an image has one '
                f'file, and its labels one. Remove or rename one of them.'
            )
    return found


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


def head_of(file: Path) -> bytes:
    """Read the beginning of a file, to see what it is: it may be large, and of another kind."""
    with file.open('rb') as content:
        return content.read(1000)


def files_in(data: Path, *endings: str) -> list[PurePath]:
    """List the files of a folder and its sub-folders that have one of some endings, for images and labels alike.

    Args:
        data (Path): The folder.
        *endings (str): In lower case.

    Returns:
        List[PurePath]: Paths relative to the folder, sorted.
    """
    return sorted(map(PurePath, images_in(data, endings)))
