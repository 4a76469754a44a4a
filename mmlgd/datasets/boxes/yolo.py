"""Boxes in YOLO's format: one text file for each image, with lines of label, centre and size."""

from pathlib import Path, PurePath
from typing import Any, Optional

import yaml

from mmlgd.errors import shown
from mmlgd.utils.files import read_small

from .content import Box, content_of, size_of
from .places import BoxesError, key_of, split_of

_LISTS = ('classes.txt', 'obj.names', 'labels/classes.txt')
_NO_LABELS = {'classes', 'train', 'val', 'valid', 'test', 'names', 'README'}  # other text files beside the labels


def read_yolo(
    data: Path, files: list[PurePath], images: dict[PurePath, PurePath], names: Optional[list[str]]
) -> tuple[list[str], dict[Optional[str], dict[str, Any]]]:
    """Read boxes in YOLO's format.

    An image without a file of labels has no boxes. A line with more than five numbers is the outline of an object, and
    becomes the box around it.

    Args:
        data (Path): The folder of the data.
        files (List[PurePath]): Text files in it.
        images (Dict[PurePath, PurePath]): Its images, see :func:`~mmlgd.datasets.boxes.places.by_key`.
        names (List[str], optional): Class names in the order of the labels. None: those of ``data.yaml``,
            ``classes.txt`` or ``obj.names``.

    Returns:
        Tuple[List[str], Dict[str, dict]]: The names, and the content of an annotation file for each split, by folders.
        A split that is not named is None.

    Raises:
        BoxesError: There are no names, a line cannot be read, or a label is beyond the names.
    """
    names = names or names_of(data)
    if not names:
        raise BoxesError(
            f'YOLO labels in {shown(data)} are numbers, and neither a data.yaml with names nor one of '
            f'{", ".join(_LISTS)} is there. Give the class names in the order of the labels: --names FILE.'
        )
    labels = {key_of(file): file for file in files}
    splits: dict[Optional[str], list] = {}
    for key, image in sorted(images.items()):
        width, height = size_of(data / image)
        lines = read_small(data / labels[key]).decode().splitlines() if key in labels else []
        boxes = [
            _box(line, width, height, names, f'line {number} of {shown(labels[key])}')
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        splits.setdefault(split_of(image), []).append((image, (width, height), boxes))
    return names, {split: content_of(names, images) for split, images in splits.items()}


def label_files(files: list[PurePath], images: dict[PurePath, PurePath]) -> list[PurePath]:
    """Choose the text files that are labels of an image."""
    return [file for file in files if file.stem not in _NO_LABELS and key_of(file) in images]


def names_of(data: Path) -> Optional[list[str]]:
    """Read the class names from the files that YOLO's data sets have; None if there are none."""
    for file in sorted([*data.glob('*.yaml'), *data.glob('*.yml')]):
        try:
            told = yaml.safe_load(read_small(file))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise BoxesError(f'{shown(file)} is no YAML: {error}. Repair it, or give --names FILE.') from error
        if isinstance(told, dict) and (names := told.get('names')):
            return [str(names[k]) for k in sorted(names)] if isinstance(names, dict) else [str(name) for name in names]
    for name in _LISTS:
        if (data / name).is_file():
            return read_small(data / name).decode().splitlines()
    return None


def _box(line: str, width: int, height: int, names: list[str], where: str) -> Box:
    label, *numbers = line.split()
    try:
        label, values = int(label), [float(number) for number in numbers]
    except ValueError as error:
        raise BoxesError(f'{where} is {line[:80]!r}; expected `label x y width height`: {error}.') from error
    if len(values) < 4 or len(values) > 4 and len(values) % 2:
        raise BoxesError(f'{where} has {len(values)} numbers after the label; expected 4: x, y, width and height.')
    if not 0 <= label < len(names):
        raise BoxesError(
            f'{where} has the label {label}, but there are {len(names)} class names ({", ".join(names[:5])}): labels '
            f'are 0 to {len(names) - 1}. Give a name for every label.'
        )
    if len(values) == 4:
        x, y, w, h = values
        left, top, right, bottom = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    else:  # an outline
        left, right, top, bottom = min(values[::2]), max(values[::2]), min(values[1::2]), max(values[1::2])
    if right > 1.5 or bottom > 1.5:
        raise BoxesError(f'{where} is {line[:80]!r}; expected shares of the image from 0 to 1, not pixels.')
    return Box(left * width, top * height, (right - left) * width, (bottom - top) * height, label)
