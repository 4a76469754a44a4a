"""Finds the images and the masks of a folder, and what the values of the masks mean."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Optional, Union

import numpy as np
from PIL import Image

from mmlgd.errors import MissingFileError, MMLGDError, shown
from mmlgd.utils.files import read_small
from mmlgd.utils.paths import IMAGE_SUFFIXES
from mmlgd.utils.spread import spread

from .boxes.places import split_of
from .boxes.split import drawn
from .folder import images_in
from .loaded_size import loaded_size

_MASKS = {'annotations', 'annotation', 'gt', 'labels', 'label', 'masks', 'mask', 'segmentationclass', 'segmentation'}
_IMAGES = {'images', 'image', 'imgs', 'img', 'jpegimages'}
_NAMES = ('classes.txt', 'names.txt', 'labels.txt')
_READ = 200  # masks, for their values


class MasksError(MMLGDError, ValueError):
    """Masks that cannot be read, or that do not fit their images or names."""


@dataclass
class FoundMasks:
    """The masks of a folder, with images for training and for validation.

    Attributes:
        names (List[str]): Class names; value k of a mask is name k.
        images (Dict[str, str]): Folder of the images of ``'train'`` and ``'val'``, relative to the data.
        masks (Dict[str, str]): Folder of their masks, likewise.
        suffixes (Tuple[str, str]): Endings of the files of an image and of its mask.
        counts (Dict[str, int]): Number of images of each part.
        size (Tuple[int, int]): Median width and height of the images in pixels.
        ignore_index (int): The value of pixels without a label. 255 if there are none.
        values (List[int]): The values that the masks have, of up to 200 of them.
        listed (Dict[str, List[str]]): Images, without folder and ending, of each part that is not all of its folder.
        is_split (bool): Whether the parts were drawn, because the data have none for validation.
        notes (List[str]): What is left out, a sentence each.
    """

    names: list[str]
    images: dict[str, str]
    masks: dict[str, str]
    suffixes: tuple[str, str]
    counts: dict[str, int]
    size: tuple[int, int]
    ignore_index: int
    values: list[int]
    listed: dict[str, list[str]] = field(default_factory=dict)
    is_split: bool = False
    notes: list[str] = field(default_factory=list)


def find_masks(data: Path, names: Optional[Sequence[str]] = None, seed: int = 0) -> FoundMasks:
    """Find the images of a folder and their masks, with parts for training and validation.

    An image and its mask have one name, in folders such as ``images`` and ``annotations`` (or ``masks``, ``labels``).
    The parts are folders in or around these; if there is no validation part, a test part takes its place; if there is
    neither, a fifth of the images is drawn.

    Args:
        data (Path): The folder.
        names (Sequence[str], optional): Class names in the order of the values. Defaults to None: those in
            ``classes.txt``, ``names.txt`` or ``labels.txt`` of the data.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        FoundMasks: The masks; nothing is written.

    Raises:
        MissingFileError: There is no such folder, or no names.
        MasksError: There are no masks in it, or they do not fit their images or names.
    """
    pairs, bare = _pairs(data)
    names = list(names) if names is not None else _names_in(data)
    endings = Counter((image.suffix, mask.name[len(image.stem) :]) for image, mask in pairs)
    if len(endings) > 1:
        told = ', '.join(f'{image} with {mask} ({count})' for (image, mask), count in endings.most_common(3))
        raise MasksError(
            f'{shown(data)} has images and masks of several endings: {told}. mmsegmentation reads one pair of endings: '
            f'convert the others.'
        )
    parts: dict[Optional[str], list[tuple[PurePath, PurePath]]] = {}
    for pair in pairs:
        parts.setdefault(split_of(pair[0]), []).append(pair)
    is_split = len(parts) == 1 and {*parts} <= {None, 'train'}
    if is_split:
        parts = _drawn(pairs, seed)
    parts.setdefault('val', parts.get('test', []))
    for part in ('train', 'val'):
        if not parts.get(part):
            raise MasksError(
                f'{shown(data)} has no images with masks for {part}; its parts are {", ".join(map(str, parts))}. Name '
                f'folders train and val.'
            )
    chosen = {part: parts[part] for part in ('train', 'val')}
    values, size = _values(data, chosen['train'] + chosen['val'])
    images = {part: _common(data, [image for image, _ in pairs]) for part, pairs in chosen.items()}
    bare = [one for one in bare if one.parent.as_posix() in images.values() and one.suffix == pairs[0][0].suffix]
    mixed = {part for part, folder in images.items() if any(image.parent.as_posix() == folder for image in bare)}
    return FoundMasks(
        names=names,
        images=images,
        masks={part: _common(data, [mask for _, mask in pairs]) for part, pairs in chosen.items()},
        suffixes=next(iter(endings)),
        counts={part: len(pairs) for part, pairs in chosen.items()},
        size=size,
        ignore_index=_ignored(data, values, names),
        values=values,
        listed={part: [image.stem for image, _ in chosen[part]] for part in chosen if is_split or part in mixed},
        is_split=is_split,
        notes=[f'{len(bare)} images have no mask and are left out; the first is {bare[0]}.'] if bare else [],
    )


def _pairs(data: Path) -> tuple[list[tuple[PurePath, PurePath]], list[PurePath]]:
    """Find images with their masks, and images without one."""
    if not data.is_dir():
        raise MissingFileError(f'There is no folder of data at {shown(data)}.')
    files = [PurePath(file) for file in sorted(images_in(data, IMAGE_SUFFIXES))]
    masks = {_key(file): file for file in files if _has(file, _MASKS)}
    images = [file for file in files if not _has(file, _MASKS)]
    pairs = [(file, masks[_key(file)]) for file in images if _key(file) in masks]
    if not pairs:
        raise MasksError(
            f'{shown(data)} has {len(files)} images, and no image with a mask. Expected images/train/a.jpg with '
            f'annotations/train/a.png, and the same for val; masks, labels and SegmentationClass are read, too.'
        )
    return pairs, [file for file in images if _key(file) not in masks]


def _has(file: PurePath, folders: set[str]) -> bool:
    return any(part.lower() in folders for part in file.parts[:-1])


def _key(file: PurePath) -> PurePath:
    return PurePath(*(part for part in file.parts[:-1] if part.lower() not in _MASKS | _IMAGES), file.stem)


def _names_in(data: Path) -> list[str]:
    for name in _NAMES:
        if (data / name).is_file():
            return [line for line in read_small(data / name).decode().splitlines() if line.strip()]
    raise MissingFileError(
        f'Masks are numbers, and {shown(data)} has none of {", ".join(_NAMES)}. Give the class names, one a line, by '
        f'--names FILE: line k is value k of a mask, from 0.'
    )


def _drawn(pairs: list, seed: int) -> dict[str, list]:
    kept = drawn([image.as_posix() for image, _ in pairs], seed)
    return {
        part: [pair for k, pair in enumerate(pairs) if (k in kept) == is_val]
        for part, is_val in (('train', False), ('val', True))
    }


def _common(data: Path, files: list[PurePath]) -> str:
    folders = {file.parent.as_posix() for file in files}
    if len(folders) > 1:
        raise MasksError(
            f'Images of one part lie in several folders of {shown(data)}: {", ".join(sorted(folders)[:4])}. Put those '
            f'of a part, and their masks, into one folder each.'
        )
    return folders.pop()


def _values(data: Path, pairs: list) -> tuple[list[int], tuple[int, int]]:
    values, sizes = set(), []
    for image, mask in spread(pairs, _READ):
        try:
            with Image.open(data / image) as opened:
                sizes.append(loaded_size(opened))
            with Image.open(data / mask) as opened:
                pixels = np.asarray(opened)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise MasksError(f'{shown(data / mask)} or its image cannot be read: {error}. Repair them.') from error
        if pixels.ndim != 2:
            raise MasksError(
                f'The mask {shown(data / mask)} is a colour image of shape {pixels.shape}. Masks hold one class index '
                f'per pixel: save it with one channel or with a palette.'
            )
        if fault := size_fault(data / mask, pixels.shape, sizes[-1]):
            raise MasksError(fault)
        values |= set(np.unique(pixels).tolist())
    width, height = np.median(np.array(sizes), axis=0)
    return sorted(int(value) for value in values), (int(width), int(height))


def size_fault(mask: Union[str, Path], shape: tuple[int, ...], size: tuple[int, int]) -> str:
    """Say what is wrong with the size of a mask.

    Args:
        mask (str | Path): Its file.
        shape (Tuple[int, ...]): Its height and width in pixels.
        size (Tuple[int, int]): Width and height of its image.

    Returns:
        str: Two sentences; empty if it has the size of its image.
    """
    if tuple(shape) == size[::-1]:
        return ''
    return (
        f'The mask {shown(mask)} has {shape[1]} x {shape[0]} px, and its image {size[0]} x {size[1]} px. A mask has '
        f'the class of each pixel of its image: bring it to that size, without interpolation.'
    )


def _ignored(data: Path, values: list[int], names: list[str]) -> int:
    """Find the one value beyond the names; 255 if there is none."""
    beyond = [value for value in values if value >= len(names)]
    if len(beyond) > 1:
        raise MasksError(
            f'The masks of {shown(data)} have the values {", ".join(map(str, beyond[:5]))} beyond the {len(names)} '
            f'class names. Value k is name k, from 0; one value beyond them may stand for no label. Give a name for '
            f'every value.'
        )
    return beyond[0] if beyond else 255
