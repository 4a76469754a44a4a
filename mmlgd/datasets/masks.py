"""Finds the images and the masks of a folder, and their parts."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Optional

from mmlgd.errors import MissingFileError, shown
from mmlgd.text import load_vocabulary
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .boxes.places import in_both, parts_of
from .boxes.split import drawn
from .folder import sorted_images
from .mask_values import MasksError, meaning_of, read_values
from .part_lists import listed_parts

_MASKS = {'annotations', 'annotation', 'gt', 'labels', 'label', 'masks', 'mask', 'segmentationclass', 'segmentation'}
_IMAGES = {'images', 'image', 'imgs', 'img', 'jpegimages'}
_NOT_LISTED = re.compile(r'^\s|\s$|[\r\n\ud800-\udfff]')
_NAMES = ('classes.txt', 'names.txt', 'labels.txt')


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
        listed (Dict[str, List[str]]): Images of each part, without folder and ending: mmsegmentation would otherwise
            take those of sub-folders, too, and hidden ones.
        is_split (bool): Whether the parts were drawn, because the data have none for validation.
        notes (List[str]): The pixels of each name, what counts as no label, and what is left out, a sentence each.
    """

    names: list[str]
    images: dict[str, str]
    masks: dict[str, str]
    suffixes: tuple[str, str]
    counts: dict[str, int]
    size: tuple[int, int]
    ignore_index: int
    listed: dict[str, list[str]]
    is_split: bool = False
    notes: list[str] = field(default_factory=list)


def find_masks(
    data: Path,
    names: Optional[Sequence[str]] = None,
    seed: int = 0,
    ignore_index: Optional[int] = None,
    reduce_zero_label: bool = False,
) -> FoundMasks:
    """Find the images of a folder and their masks, with parts for training and validation.

    An image and its mask have one name, in folders such as ``images`` and ``annotations`` (or ``masks``, ``labels``).
    The parts are lists, such as VOC's ``ImageSets/Segmentation/train.txt``, or folders in or around these; if there is
    no validation part, a test part takes its place; if there is neither, a fifth of the images is drawn.

    Args:
        data (Path): The folder.
        names (Sequence[str], optional): Class names in the order of the values. Defaults to None: those in
            ``classes.txt``, ``names.txt`` or ``labels.txt`` of the data.
        seed (int): Seed of the draw. Defaults to 0.
        ignore_index (int, optional): The value of pixels without a label. Defaults to None: one value beyond the names,
            if each name has pixels without it.
        reduce_zero_label (bool): Whether value 0 is no label and 1 the first name. Defaults to False.

    Returns:
        FoundMasks: The masks; nothing is written.

    Raises:
        MissingFileError: There is no such folder, no image in it, or no names.
        MasksError: There are no masks in it, or they do not fit their images or names, or their values may mean several
            things.
        PartsError: A list of a part cannot be followed.
        VocabularyError: The file of names holds none, or others than names.
        ConfigError: An option is out of its range.
    """
    pairs, bare, unread = _pairs(data)
    names = list(names) if names is not None else _names_in(data)
    endings = Counter((image.suffix, mask.name[len(image.stem) :]) for image, mask in pairs)
    if len(endings) > 1:
        told = ', '.join(f'{image} with {mask} ({count})' for (image, mask), count in endings.most_common(3))
        raise MasksError(
            f'{shown(data)} has images and masks of several endings: {told}. mmsegmentation reads one pair of endings: '
            f'convert the others.'
        )
    mask_of = dict(pairs)
    listed = listed_parts(data, [*mask_of, *bare], 'Segmentation')
    divided, notes = parts_of(mask_of, listed)
    parts = {part: [(one, mask_of[one]) for one in images if one in mask_of] for part, images in divided.items()}
    is_split = len(parts) == 1 and {*parts} <= {None, 'train'}
    if is_split:
        parts = _drawn(next(iter(parts.values())), seed)
    parts.setdefault('val', parts.get('test', []))
    for part in ('train', 'val'):
        if not parts.get(part):
            raise MasksError(
                f'{shown(data)} has no images with masks for {part}; its parts are {", ".join(map(str, parts))}. Name '
                f'folders or lists train and val.'
            )
    chosen = {part: parts[part] for part in ('train', 'val')}
    if odd := [image for image, _ in chosen['train'] + chosen['val'] if _NOT_LISTED.search(image.stem)]:
        raise MasksError(
            f'The name of {shown(data / odd[0])} has a blank at its beginning or end, a new line or a character that '
            f'is not UTF-8, and no list of mmsegmentation can have it. Rename it, and its mask.'
        )
    pixels, size = read_values(data, chosen['train'] + chosen['val'])
    ignore_index, meaning = meaning_of(data, pixels, names, ignore_index, reduce_zero_label)
    images = {part: _common(data, [image for image, _ in pairs]) for part, pairs in chosen.items()}
    bare = [one for one in bare if one.parent.as_posix() in images.values()]
    if bare:
        notes.append(f'{len(bare)} images have no mask and are left out; the first is {bare[0]}.')
    notes += in_both(chosen['train'], chosen['val'])
    return FoundMasks(
        names=names,
        images=images,
        masks={part: _common(data, [mask for _, mask in pairs]) for part, pairs in chosen.items()},
        suffixes=next(iter(endings)),
        counts={part: len(pairs) for part, pairs in chosen.items()},
        size=size,
        ignore_index=ignore_index,
        listed={part: [image.stem for image, _ in pairs] for part, pairs in chosen.items()},
        is_split=is_split,
        notes=meaning + notes + unread,
    )


def _pairs(data: Path) -> tuple[list[tuple[PurePath, PurePath]], list[PurePath], list[str]]:
    """Find images with their masks, and images without one; and tell of files of formats that are not read."""
    if not data.is_dir():
        raise MissingFileError(
            f'There is no folder of data at {shown(data)}. Give the one that has the images and their masks.'
        )
    found, others = sorted_images(data, IMAGE_SUFFIXES)
    files = sorted(map(PurePath, found))
    masks: dict[PurePath, list[PurePath]] = {}
    for file in files:
        if _has(file, _MASKS):
            masks.setdefault(_key(file), []).append(file)
    images = [file for file in files if not _has(file, _MASKS)]
    for file in images:
        if len(several := masks.get(_key(file), [])) > 1:
            raise MasksError(
                f'The image {shown(data / file)} has {len(several)} masks: {", ".join(map(str, several[:4]))}. '
                f'Keep those with the class indices in {shown(data)}, and move the others out of it.'
            )
    pairs = [(file, masks[_key(file)][0]) for file in images if _key(file) in masks]
    if not pairs:
        raise MasksError(
            f'{shown(data)} has {len(files)} images, and no image with a mask. Expected images/train/a.jpg with '
            f'annotations/train/a.png, and the same for val; masks, labels and SegmentationClass are read, too. `mmlgd '
            f'detect` reads boxes.{" " if others else ""}{others}'
        )
    folders, ending = {image.parent for image, _ in pairs}, pairs[0][0].suffix
    bare = [file for file in images if _key(file) not in masks and file.parent in folders and file.suffix == ending]
    return pairs, bare, [others] if others else []


def _has(file: PurePath, folders: set[str]) -> bool:
    return any(part.lower() in folders for part in file.parts[:-1])


def _key(file: PurePath) -> PurePath:
    return PurePath(*(part for part in file.parts[:-1] if part.lower() not in _MASKS | _IMAGES), file.stem)


def _names_in(data: Path) -> list[str]:
    for name in _NAMES:
        if (data / name).is_file():
            return load_vocabulary(data / name)
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
