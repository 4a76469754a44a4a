"""Boxes in YOLO's format: one text file for each image, with lines of label, centre and size."""

from codecs import BOM_UTF8
from collections.abc import Container
from pathlib import Path, PurePath
from typing import Any, Optional

from mmlgd.datasets.part_lists import listed_parts
from mmlgd.errors import shown
from mmlgd.text import load_vocabulary
from mmlgd.utils.files import read_small

from .content import Box, content_of, finite, size_of
from .data_yaml import DataYaml
from .places import BoxesError, by_key, head_of, key_of, parts_of

_LISTS = ('classes.txt', 'obj.names', 'labels/classes.txt')


def read_yolo(
    data: Path, files: list[PurePath], images: dict[PurePath, PurePath], names: Optional[list[str]]
) -> tuple[list[str], dict[Optional[str], dict[str, Any]], list[str]]:
    """Read boxes in YOLO's format.

    An image without a file of labels has no boxes. A line with more than five numbers is the outline of an object, and
    becomes the box around it, unless ``data.yaml`` says that keypoints follow the box.

    Args:
        data (Path): The folder of the data.
        files (List[PurePath]): Text files in it.
        images (Dict[PurePath, PurePath]): Its images, see :func:`~mmlgd.datasets.boxes.places.by_key`.
        names (List[str], optional): Class names in the order of the labels. None: those of ``data.yaml``,
            ``classes.txt`` or ``obj.names``.

    Returns:
        Tuple[List[str], Dict[str, dict], List[str]]: The names; the content of an annotation file for each part, by
        ``data.yaml``, lists or folders, None if none of them names it; and what is left out, a sentence each.

    Raises:
        BoxesError: There are no names, a line cannot be read, a label is beyond the names, or an image has two files.
        PartsError: A list of a part cannot be followed.
        VocabularyError: The names are none.
    """
    settings = DataYaml(data)
    names = names or settings.names() or _listed_names(data)
    if not names:
        raise BoxesError(
            f'YOLO labels in {shown(data)} are numbers, and neither a data.yaml with names nor one of '
            f'{", ".join(_LISTS)} is there. Give the class names in the order of the labels: --names FILE.'
        )
    labels, keypoints = by_key(files), settings.keypoints()

    def labelled(image: PurePath) -> tuple[PurePath, tuple[int, int], list[Box]]:
        width, height = size_of(data / image)
        file = labels.get(key_of(image))
        lines = _lines(data / file) if file else []
        boxes = [
            _box(line, width, height, names, f'line {number} of {shown(file)}', keypoints)
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        return image, (width, height), boxes

    every = sorted(images.values())
    parts, notes = parts_of(every, settings.parts(every) or listed_parts(data, every, 'Main'))
    used = sorted({one for part, those in parts.items() if part != 'test' or 'val' not in parts for one in those})
    if bare := [image for image in used if key_of(image) not in labels]:
        notes.append(
            f'{len(bare)} of {len(used)} images have no file of labels, and count as images without objects; the first '
            f'is {shown(bare[0])}.'
        )
    return names, {part: content_of(names, map(labelled, those)) for part, those in parts.items()}, notes


def label_files(texts: list[PurePath], images: Container[PurePath]) -> list[PurePath]:
    """Choose the text files that are labels of an image."""
    return [file for file in texts if key_of(file) in images]


def strays(data: Path, texts: list[PurePath], images: dict[PurePath, PurePath]) -> list[str]:
    """Tell which text files of a folder begin as labels do, and belong to no image: a sentence, or none."""
    lost = [file for file in texts if key_of(file) not in images and _begins_with_numbers(data / file)]
    told = f'{len(lost)} files of labels belong to no image, and are left out; the first is '
    return [f'{told}{shown(lost[0])}.'] if lost else []


def _begins_with_numbers(file: Path) -> bool:
    first, *_ = *head_of(file).removeprefix(BOM_UTF8).strip().splitlines(), b''
    try:
        return len([float(number) for number in first.split()]) > 4
    except ValueError:
        return False


def _lines(file: Path) -> list[str]:
    try:
        return read_small(file).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise BoxesError(f'{shown(file)} is no text: {error}. Write it as UTF-8 text.') from error


def _listed_names(data: Path) -> Optional[list[str]]:
    file = next((data / name for name in _LISTS if (data / name).is_file()), None)
    return load_vocabulary(file) if file else None


def _box(line: str, width: int, height: int, names: list[str], where: str, keypoints: Optional[int]) -> Box:
    first, *numbers = line.split()
    try:
        label, values = finite(first), [finite(number) for number in numbers]
        if not label.is_integer():  # some tools write 0.0
            raise ValueError(f'{first!r} is no label')
    except ValueError as error:
        raise BoxesError(f'{where} is {line[:80]!r}; expected `label x y width height`: {error}.') from error
    if keypoints is not None and len(values) != 4 + keypoints:
        raise BoxesError(
            f'{where} has {len(values)} numbers after the label; expected {4 + keypoints}: x, y, width, height and the '
            f'{keypoints} of its keypoints, by kpt_shape of data.yaml.'
        )
    if keypoints is not None:
        values = values[:4]
    if len(values) < 4 or len(values) > 4 and len(values) % 2:
        raise BoxesError(f'{where} has {len(values)} numbers after the label; expected 4: x, y, width and height.')
    if not 0 <= label < len(names):
        raise BoxesError(
            f'{where} has the label {first[:80]}, but there are {len(names)} class names ({", ".join(names[:5])}'
            f'{", ..." if names[5:] else ""}): labels are 0 to {len(names) - 1}. Give a name for every label.'
        )
    if len(values) == 4:
        x, y, w, h = values
        left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    else:  # an outline
        left, right, top, bottom = min(values[::2]), max(values[::2]), min(values[1::2]), max(values[1::2])
    if right > 1.5 or bottom > 1.5:
        raise BoxesError(f'{where} is {line[:80]!r}; expected shares of the image from 0 to 1, not pixels.')
    return Box(left * width, top * height, (right - left) * width, (bottom - top) * height, int(label))
