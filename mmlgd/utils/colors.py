"""Colours for many classes, as different from each other as can be."""

from functools import cache

import numpy as np

from .style import CLASSES

_LEVELS = 17  # per channel of the colours to choose from
_LIGHTNESS = (0.36, 0.90)  # in Oklab: neither near black nor near white


@cache
def distinct_colors(count: int) -> np.ndarray:
    """Choose colours: those of our figures first, then always the colour that differs most from all before it.

    Colour k does not depend on ``count``: a class keeps its colour. Differences are measured in Oklab (Ottosson, 2020),
    which follows what eyes see.

    Args:
        count (int): K.

    Returns:
        np.ndarray: (K, 3) uint8, RGB; not to be changed.

    Examples:
        >>> distinct_colors(3).tolist()
        [[31, 119, 180], [217, 115, 13], [42, 143, 60]]
        >>> len(set(map(tuple, distinct_colors(150).tolist())))
        150
    """
    chosen = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in CLASSES][:count]
    steps = np.linspace(0, 255, _LEVELS).round()
    free = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lab = _oklab(free)
    light = (lab[:, 0] > _LIGHTNESS[0]) & (lab[:, 0] < _LIGHTNESS[1])
    free, lab = free[light], lab[light]
    distance = np.min([np.linalg.norm(lab - one, axis=1) for one in _oklab(np.array(chosen))], axis=0)
    while len(chosen) < count:
        best = int(distance.argmax())
        chosen.append(free[best].tolist())
        distance = np.minimum(distance, np.linalg.norm(lab - lab[best], axis=1))
    colors = np.array(chosen, dtype=np.uint8)
    colors.flags.writeable = False
    return colors


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """Convert (K, 3) sRGB in 0..255 to Oklab."""
    x = rgb / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    return np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip
