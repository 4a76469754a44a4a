"""Boxes in VOC's format: one XML file for each image."""

import xml.etree.ElementTree as ET
from pathlib import Path, PurePath
from typing import Any, Optional

from mmlgd.errors import shown
from mmlgd.utils.files import read_small

from .content import Box, content_of, size_of
from .places import BoxesError, key_of, split_of


def read_voc(
    data: Path, files: list[PurePath], images: dict[PurePath, PurePath], names: Optional[list[str]]
) -> tuple[list[str], dict[Optional[str], dict[str, Any]]]:
    """Read boxes in VOC's format.

    mmdet's own ``XMLDataset`` takes .jpg files alone, needs the names beforehand, drops the fractions of boxes, and is
    not scored by COCO's metric; so the boxes are brought to COCO's format.

    Args:
        data (Path): The folder of the data.
        files (List[PurePath]): XML files in it.
        images (Dict[PurePath, PurePath]): Its images, see :func:`~mmlgd.datasets.boxes.places.by_key`.
        names (List[str], optional): Class names in their order. None: those of the files, sorted.

    Returns:
        Tuple[List[str], Dict[str, dict]]: The names, and the content of an annotation file for each split: by the lists
        in ``ImageSets/Main``, or by folders. A split that is not named is None.

    Raises:
        BoxesError: A file is no annotation, has no image, or has a box of another name.
    """
    roots = [(file, _root(data / file)) for file in files]
    found = {_text(one, 'name', file) for file, root in roots for one in root.iter('object')}
    names = names or sorted(found)
    if others := sorted(found - set(names)):
        raise BoxesError(
            f'Boxes in {shown(data)} have names that are not among the class names: {", ".join(others[:5])}. Write the '
            f'names exactly as in the XML files, including capitals, one for each of: {", ".join(sorted(found))}.'
        )
    listed = _lists(data)
    if missing := sorted({*listed} - {file.stem for file, _ in roots}):
        raise BoxesError(
            f'{len(missing)} images in the lists of {shown(data / "ImageSets/Main")} have no XML file; the first is '
            f'{missing[0]!r}. Add the files, or take them out of the lists.'
        )
    splits: dict[Optional[str], list] = {}
    for file, root in roots:
        image = images.get(key_of(file))
        if image is None:
            raise BoxesError(
                f'There is no image for {shown(file)} in {shown(data)}. Expected {key_of(file).name}.jpg (or another '
                f'kind of image) beside it, or in JPEGImages/ or images/.'
            )
        split = listed.get(file.stem) if listed else split_of(file)
        if listed and split is None:
            continue  # of no list
        splits.setdefault(split, []).append((image, size_of(data / image), _boxes(root, names, file)))
    return names, {split: content_of(names, images) for split, images in splits.items()}


def is_voc(file: Path) -> bool:
    """Check whether an XML file is an annotation of VOC's format."""
    return b'<annotation' in read_small(file)[:1000]


def _lists(data: Path) -> dict[str, str]:
    """Read which image belongs to which split, if ``ImageSets/Main`` has lists of both."""
    lists = {split: data / 'ImageSets' / 'Main' / f'{split}.txt' for split in ('train', 'val', 'test')}
    if not (lists['train'].is_file() and lists['val'].is_file()):
        return {}
    there = {split: read_small(file).decode().split() for split, file in lists.items() if file.is_file()}
    return {stem: split for split, stems in there.items() for stem in stems}


def _root(file: Path) -> ET.Element:
    try:
        return ET.fromstring(read_small(file))
    except ET.ParseError as error:
        raise BoxesError(f'{shown(file)} is no XML: {error}. Repair it, or remove it and its image.') from error


def _boxes(root: ET.Element, names: list[str], file: PurePath) -> list[Box]:
    boxes = []
    for one in root.iter('object'):
        corners = [_text(one, f'bndbox/{edge}', file) for edge in ('xmin', 'ymin', 'xmax', 'ymax')]
        try:
            left, top, right, bottom = map(float, corners)
        except ValueError as error:
            raise BoxesError(f'{shown(file)} has a box without numbers: {error}. Correct it.') from error
        label = names.index(_text(one, 'name', file))
        # VOC counts pixels from 1.
        boxes.append(Box(left - 1, top - 1, right - left, bottom - top, label, one.findtext('difficult') == '1'))
    return boxes


def _text(part: ET.Element, place: str, file: PurePath) -> str:
    text = (part.findtext(place) or '').strip()
    if not text:
        raise BoxesError(f'{shown(file)} has an object without {place}. Add it, or remove the object.')
    return text
