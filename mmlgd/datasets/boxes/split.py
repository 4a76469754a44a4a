"""A seeded split of annotated images into training and validation."""

import random
from collections.abc import Sequence
from typing import Any

from .places import BoxesError

SHARE = 0.2  # of the images, for validation


def split_images(told: dict[str, Any], seed: int = 0, share: float = SHARE) -> dict[str, dict[str, Any]]:
    """Split the content of an annotation file. Each image is ranked by the seed and the name of its file alone.

    Args:
        told (dict): In COCO's format.
        seed (int): Seed of the draw. Defaults to 0.
        share (float): Share of the images that are kept for validation, in (0, 1). Defaults to 0.2.

    Returns:
        Dict[str, dict]: The content for ``'train'`` and ``'val'``; no image is in both.

    Raises:
        BoxesError: There are fewer than two images.

    Examples:
        >>> images = [dict(id=k, file_name=f'{k}.jpg') for k in range(10)]
        >>> parts = split_images(dict(images=images, annotations=[], categories=[]))
        >>> len(parts['train']['images']), len(parts['val']['images'])
        (8, 2)
    """
    images = sorted(told['images'], key=lambda image: str(image['file_name']))
    if len(images) < 2:
        raise BoxesError(f'There are {len(images)} images with boxes; a split needs 2 or more.')
    kept = {images[k]['id'] for k in drawn([str(image['file_name']) for image in images], seed, share)}
    return {split: _part(told, kept, is_val) for split, is_val in (('train', False), ('val', True))}


def drawn(names: Sequence[str], seed: int = 0, share: float = SHARE) -> set[int]:
    """Draw the images that are kept for validation. A further image changes the part of few others.

    Args:
        names (Sequence[str]): Names of the images, all different.
        seed (int): Seed of the draw. Defaults to 0.
        share (float): Share of the images, in (0, 1). Defaults to 0.2.

    Returns:
        Set[int]: Positions of the images: one at least, and not all.

    Examples:
        >>> len(drawn('abcdefghij')), len(drawn('ab'))
        (2, 1)
    """
    ranked = sorted((random.Random(f'{seed}/{name}').random(), k) for k, name in enumerate(names))
    return {k for _, k in ranked[: min(len(names) - 1, max(1, round(share * len(names))))]}


def _part(told: dict[str, Any], kept: set, is_val: bool) -> dict[str, Any]:
    return dict(
        told,
        images=[image for image in told['images'] if (image['id'] in kept) == is_val],
        annotations=[one for one in told['annotations'] if (one['image_id'] in kept) == is_val],
    )
