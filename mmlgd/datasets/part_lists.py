"""The lists of a data set that name the images of its parts, such as VOC's ``ImageSets/Main/train.txt``."""

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Optional

from mmlgd.errors import MMLGDError, shown
from mmlgd.utils.files import read_small

_PARTS = dict(train='train', training='train', val='val', valid='val', validation='val', test='test', testing='test')
_BOTH = 'trainval'  # VOC's list of the images of train and val


class PartsError(MMLGDError, ValueError):
    """A list of the images of a part that cannot be followed."""


def part_named(word: str) -> Optional[str]:
    """Tell which part a word names.

    Args:
        word (str): Of a folder or a file; capitals and digits at its end do not count.

    Returns:
        str, optional: ``'train'``, ``'val'`` or ``'test'``; None if it names none.

    Examples:
        >>> part_named('Valid'), part_named('train2017'), part_named('images')
        ('val', 'train', None)
    """
    return _PARTS.get(word.lower().rstrip('0123456789'))


def listed_parts(data: Path, images: Iterable[PurePath], kind: str) -> dict[str, list[PurePath]]:
    """Read the lists of a data set: VOC's in ``ImageSets/KIND`` (or ``ImageSets``) beside its images, else its own.

    Its own lie in its folder, as Darknet's do. A list has the name of a part (train, val, valid, test, ...) or is VOC's
    ``trainval.txt``, which stands for what has no list of its own. An empty list is no part. A test list is read only
    if there is no validation list: it then takes its place, and may else name images that were never fetched.

    Args:
        data (Path): The folder of the data.
        images (Iterable[PurePath]): Its images (no masks), relative to it.
        kind (str): Folder of VOC's lists: ``'Main'`` for boxes, ``'Segmentation'`` for masks.

    Returns:
        Dict[str, List[PurePath]]: The images of ``'train'``, ``'val'`` and ``'test'``, sorted, of the parts that have a
        list. Empty if there are no lists.

    Raises:
        PartsError: A line names no image, or several; or a part has two lists in one folder.

    Examples:
        >>> import tempfile
        >>> data = Path(tempfile.mkdtemp())
        >>> _ = (data / 'train.txt').write_text('/home/me/set/images/a.jpg')
        >>> list(listed_parts(data, [PurePath('images/a.jpg'), PurePath('images/b.jpg')], 'Main'))
        ['train']
    """
    images = sorted(images)
    homes = sorted({home for image in images for home in image.parents})
    lists = {}
    for home in homes:
        if found := _lists(data / home / 'ImageSets' / kind) or _lists(data / home / 'ImageSets'):
            lists[home] = found
    if not lists:
        beside = {image.stem for image in images if image.parent == PurePath()}  # train.txt may be labels of train.jpg
        lists = {PurePath(): {part: file for part, file in _lists(data).items() if file.stem not in beside}}
    parts: dict[str, set[PurePath]] = {}
    for home, files in lists.items():
        inside = [image for image in images if home in image.parents]
        read = {part: set(images_of(file, inside)) for part, file in files.items() if part != 'test'}
        both = read.pop(_BOTH, set())
        read.setdefault('train', both - read.get('val', set()))
        read.setdefault('val', both - read['train'])
        for part, those in read.items():
            parts.setdefault(part, set()).update(those)
    if not parts.get('val'):
        for home, files in lists.items():
            if 'test' in files:
                inside = [image for image in images if home in image.parents]
                parts.setdefault('test', set()).update(images_of(files['test'], inside))
    return {part: sorted(those) for part, those in parts.items() if those}


def images_of(file: Path, images: Iterable[PurePath]) -> list[PurePath]:
    """Read one list: an image a line, by its path on any machine or by its name with or without its ending.

    A line may have more after the image, such as the path of its labels. Of a path, the longest end that belongs to
    an image counts.

    Args:
        file (Path): The list.
        images (Iterable[PurePath]): The images that it may name.

    Returns:
        List[PurePath]: Those that it names, in its order.

    Raises:
        PartsError: It is no text, or a line names no image, or several.
    """
    try:
        lines = [line.strip() for line in read_small(file).decode('utf-8-sig').splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise PartsError(f'{shown(file)} is no list of images: {error}. Write it as UTF-8 text.') from error
    ends: dict[str, set[PurePath]] = {}
    for image in images:
        for path in (image, image.with_suffix('')):
            for start in range(len(path.parts)):
                ends.setdefault('/'.join(path.parts[start:]), set()).add(image)
    found = [_image_of(line, ends) for line in lines]
    if lost := [line for line, image in zip(lines, found) if image is None]:
        raise PartsError(
            f'{len(lost)} of {len(lines)} lines of {shown(file)} name no image of this folder, or several; the first '
            f'is {lost[0][:200]!r}. Correct these lines, or remove the list: its part is then not taken from it.'
        )
    return [image for image in found if image is not None]


def _lists(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.glob('*.txt')):
        part = _BOTH if file.stem.lower() == _BOTH else part_named(file.stem)
        if part is None or not file.is_file():
            continue
        if part in found:
            raise PartsError(f'{shown(found[part])} and {shown(file)} are lists of one part. Keep one of them there.')
        found[part] = file
    return found


def _image_of(line: str, ends: dict[str, set[PurePath]]) -> Optional[PurePath]:
    for text in (line, line.split()[0]):
        parts = [part for part in text.replace('\\', '/').split('/') if part]
        for start in range(len(parts)):
            if found := ends.get('/'.join(parts[start:])):
                return next(iter(found)) if len(found) == 1 else None
    return None
