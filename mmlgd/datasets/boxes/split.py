"""A seeded split of annotated images into training and validation."""

import random
from collections.abc import Sequence
from typing import Any

from .places import BoxesError

SHARE = 0.2  # of the images, for validation


def split_images(told: dict[str, Any], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Split the content of an annotation file. Each image is ranked by the seed and the name of its file alone.

    Args:
        told (dict): In COCO's format.
        seed (int): Seed of the draw. Defaults to 0.

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
    kept = {images[k]['id'] for k in drawn([str(image['file_name']) for image in images], seed)}
    return dict(train=part_of(told, {image['id'] for image in images} - kept), val=part_of(told, kept))


def drawn(names: Sequence[str], seed: int = 0) -> set[int]:
    """Draw the images that are kept for validation. A further image changes the part of few others.

    Args:
        names (Sequence[str]): Names of the images, all different.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        Set[int]: Positions of the images: one at least, and not all.

    Examples:
        >>> len(drawn('abcdefghij')), len(drawn('ab'))
        (2, 1)
    """
    seeds = [f'{seed}/{name}'.encode(errors='surrogateescape') for name in names]  # a path may not be UTF-8
    ranked = sorted((random.Random(one).random(), k) for k, one in enumerate(seeds))
    return {k for _, k in ranked[: min(len(names) - 1, max(1, round(SHARE * len(names))))]}


def part_of(told: dict[str, Any], kept: set) -> dict[str, Any]:
    """Keep some of the images, and their boxes.

    Args:
        told (dict): In COCO's format.
        kept (set): The ids of the images.

    Returns:
        dict: The content that is left, in its order.

    Examples:
        >>> part_of(dict(images=[dict(id=1), dict(id=2)], annotations=[dict(image_id=2)]), {1})
        {'images': [{'id': 1}], 'annotations': []}
    """
    return dict(
        told,
        images=[image for image in told['images'] if image['id'] in kept],
        annotations=[one for one in told['annotations'] if one['image_id'] in kept],
    )
