"""Boxes in VOC's format: one XML file for each image."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, Optional

from mmlgd.datasets.part_lists import listed_parts
from mmlgd.errors import shown
from mmlgd.utils.files import read_small

from .content import Box, content_of, finite, require_size, size_of
from .places import BoxesError, by_key, head_of, parts_of


def read_voc(
    data: Path, files: list[PurePath], images: dict[PurePath, PurePath], names: Optional[list[str]]
) -> tuple[list[str], dict[Optional[str], dict[str, Any]], list[str]]:
    """Read boxes in VOC's format.

    mmdet's own ``XMLDataset`` takes .jpg files alone, needs the names beforehand, drops the fractions of boxes, and is
    not scored by COCO's metric; so the boxes are brought to COCO's format.

    Args:
        data (Path): The folder of the data.
        files (List[PurePath]): XML files in it.
        images (Dict[PurePath, PurePath]): Its images, see :func:`~mmlgd.datasets.boxes.places.by_key`.
        names (List[str], optional): Class names in their order. None: those of the files, sorted.

    Returns:
        Tuple[List[str], Dict[str, dict], List[str]]: The names; the content of an annotation file for each part, by
        the lists in ``ImageSets/Main`` or by folders, None if neither names it; and what was taken for granted or left
        out, a sentence each.

    Raises:
        BoxesError: A file is no annotation, has no image or another size than it, or has a box of another name.
        PartsError: A list of a part cannot be followed.
    """
    roots = {image: (file, _root(data / file)) for file, image in _images(data, files, images)}
    found = {_text(one, 'name', file) for file, root in roots.values() for one in root.iter('object')}
    names = names or sorted(found)
    if others := sorted(found - set(names)):
        raise BoxesError(
            f'Boxes in {shown(data)} have names that are not among the class names: {", ".join(others[:5])}. Write the '
            f'names exactly as in the XML files, including capitals, one for each of: {", ".join(sorted(found))}.'
        )
    zero = next((file for file, root in roots.values() if _begins_at_0(root, file)), None)
    first = 1 if zero is None else 0

    def labelled(image: PurePath) -> tuple[PurePath, tuple[int, int], list[Box]]:
        file, root = roots[image]
        return image, _size(root, data / image, data / file), _boxes(root, names, file, first)

    parts, notes = parts_of(roots, listed_parts(data, roots, 'Main'))
    folders = {image.parent for image in roots}
    if bare := [image for image in images.values() if image.parent in folders and image not in roots]:
        notes.append(f'{len(bare)} images have no XML file, and are left out; the first is {shown(bare[0])}.')
    notes.append(
        f'A box of {shown(zero)} begins at 0: pixels of this set are counted from 0, not from 1 as in VOC.'
        if zero
        else 'No box begins at 0: pixels are counted from 1, as in VOC.'
    )
    return names, {part: content_of(names, map(labelled, those)) for part, those in parts.items()}, notes


def is_voc(file: Path) -> bool:
    """Check whether an XML file is an annotation of VOC's format."""
    head = head_of(file).replace(b'\0', b'')  # of UTF-16
    return re.search(rb'<annotation[\s>]', head) is not None  # CVAT has <annotations> of a whole set


def _images(data: Path, files: list[PurePath], images: dict[PurePath, PurePath]) -> Iterator[tuple[PurePath, PurePath]]:
    for key, file in by_key(files).items():
        if key not in images:
            raise BoxesError(
                f'There is no image for {shown(file)} in {shown(data)}. Expected {key.name}.jpg (or another kind of '
                f'image) beside it, or in JPEGImages/ or images/.'
            )
        yield file, images[key]


def _root(file: Path) -> ET.Element:
    try:
        return ET.fromstring(read_small(file))
    except (ET.ParseError, ValueError, LookupError) as error:  # the last two of encodings: gb2312, and unknown ones
        raise BoxesError(
            f'{shown(file)} cannot be read as XML: {error}. Save it in UTF-8, repair it, or remove it and its image.'
        ) from error


def _size(root: ET.Element, image: Path, file: Path) -> tuple[int, int]:
    """Compare the size of an image with that of its file, where it has one: some tools write 0, or none."""
    try:
        width, height = (float(root.findtext(f'size/{side}') or 0) for side in ('width', 'height'))
    except ValueError as error:
        raise BoxesError(f'{shown(file)} has a size without numbers: {error}. Correct it.') from error
    return require_size(shown(file), image, (width, height)) if width > 0 and height > 0 else size_of(image)


def _begins_at_0(root: ET.Element, file: PurePath) -> bool:
    return any(0 <= min(_corners(one, file)[:2]) < 1 for one in root.iter('object'))


def _boxes(root: ET.Element, names: list[str], file: PurePath, first: int) -> list[Box]:
    """Read the boxes of a file; ``first`` is the number of the first pixel, 0 or 1."""
    boxes = []
    for one in root.iter('object'):
        left, top, right, bottom = _corners(one, file)
        label = names.index(_text(one, 'name', file))
        is_difficult = (one.findtext('difficult') or '').strip().lower() in ('1', 'true')
        boxes.append(Box(left - first, top - first, right - left, bottom - top, label, is_difficult))
    return boxes


def _corners(one: ET.Element, file: PurePath) -> list[float]:
    corners = [_text(one, f'bndbox/{edge}', file) for edge in ('xmin', 'ymin', 'xmax', 'ymax')]
    try:
        return [finite(corner) for corner in corners]
    except ValueError as error:
        raise BoxesError(f'{shown(file)} has a box without numbers: {error}. Correct it.') from error


def _text(part: ET.Element, place: str, file: PurePath) -> str:
    text = (part.findtext(place) or '').strip()
    if not text:
        raise BoxesError(f'{shown(file)} has an object without {place}. Add it, or remove the object.')
    return text
