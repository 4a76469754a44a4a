"""Images and boxes as the content of an annotation file in COCO's format."""

import math
import sys
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from PIL import Image

from mmlgd.datasets.loaded_size import loaded_size
from mmlgd.errors import shown

from .places import BoxesError


class Box(NamedTuple):
    """A box in pixels: left, top, width, height; the label counts from 0; a difficult box is not scored."""

    x: float
    y: float
    width: float
    height: float
    label: int
    difficult: bool = False


def content_of(names: list[str], images: Iterable[tuple[PurePath, tuple[int, int], list[Box]]]) -> dict[str, Any]:
    """Write images and their boxes as the content of an annotation file in COCO's format.

    Args:
        names (List[str]): Class names, by label.
        images (Iterable): File of an image, its width and height in pixels, and its boxes. Boxes are cut to the image.

    Returns:
        dict: ``images``, ``annotations`` and ``categories``; ``info`` has the number of boxes of which more than 1 px
        was ``cut``, and of those ``left_out``: narrower than 1 px, or outside their image.

    Examples:
        >>> told = content_of(['cat'], [(PurePath('a.jpg'), (9, 9), [Box(5, 0, 8, 4, 0)])])
        >>> told['annotations'][0]['bbox'], told['images'][0]['file_name']
        ([5, 0, 4, 4], 'a.jpg')
    """
    categories = [dict(id=label + 1, name=name) for label, name in enumerate(names)]
    told: dict[str, Any] = dict(images=[], annotations=[], categories=categories, info=dict(left_out=0, cut=0))
    for number, (file, (width, height), boxes) in enumerate(images, start=1):
        told['images'].append(dict(id=number, file_name=file.as_posix(), width=width, height=height))
        for box in boxes:
            x, y = max(0, box.x), max(0, box.y)
            w, h = min(width, box.x + box.width) - x, min(height, box.y + box.height) - y
            if w >= 1 and h >= 1:  # mmdet leaves out narrower ones
                told['info']['cut'] += max(box.width - w, box.height - h) > 1
                label = dict(image_id=number, category_id=box.label + 1, iscrowd=int(box.difficult))
                told['annotations'].append(dict(label, id=len(told['annotations']) + 1, bbox=[x, y, w, h], area=w * h))
            else:
                told['info']['left_out'] += 1
    return told


def is_number(value: Any) -> bool:
    """Check whether a value of JSON is a number, of those that a float holds.

    Args:
        value (Any): What JSON has.

    Returns:
        bool: Not for truth values, texts, NaN and infinite numbers, nor for numbers such as 10^400.

    Examples:
        >>> [is_number(value) for value in (3, -0.5, True, '3', float('nan'), 10**400)]
        [True, True, False, False, False, False]
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def finite(text: str) -> float:
    """Read a coordinate.

    Args:
        text (str): A number.

    Returns:
        float: The number.

    Raises:
        ValueError: It is no number, or not a finite one.
    """
    if not math.isfinite(number := float(text)):
        raise ValueError(f'{text!r} is no place')
    return number


def require_size(where: str, image: Path, told: tuple[float, float]) -> tuple[int, int]:
    """Refuse boxes of an image that has another size than they were drawn for.

    Args:
        where (str): The file with the boxes, for the error.
        image (Path): The image.
        told (Tuple[float, float]): Width and height in that file.

    Returns:
        Tuple[int, int]: Width and height of the image.

    Raises:
        BoxesError: They differ, or it is no image.
    """
    if (size := size_of(image)) != told:
        raise BoxesError(
            f'{where} says {_px(told)} for {shown(image)}, which is loaded as {_px(size)}: its boxes may be of another '
            f'picture. Write the sizes and boxes of these files, with EXIF rotation applied.'
        )
    return size


def size_of(image: Path) -> tuple[int, int]:
    """Read the size of an image from its header.

    Args:
        image (Path): The file.

    Returns:
        Tuple[int, int]: Width and height in pixels, as the libraries load it: EXIF data may turn it.

    Raises:
        BoxesError: It is no image.
    """
    try:
        with Image.open(image) as opened:
            return loaded_size(opened)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BoxesError(
            f'The image {shown(image)} cannot be read: {error}. Repair it, or remove it and its labels.'
        ) from error


def _px(size: tuple[float, float]) -> str:
    return f'{size[0]:g} x {size[1]:g} px'
