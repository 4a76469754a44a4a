"""The size of the images of a detector or segmentor, from the images and boxes of its data."""

from typing import Any, Optional

# Large packages are imported inside functions: the help of the verbs, which read this module, must not wait for them.

_SIDES = (256, 1333)  # of the longer side of an image in pixels, at most, without and with a GPU
_TINY = 8  # pixels: the stride of the finest output of both detectors


def chosen_size(size: tuple[int, int], side: Optional[int], options: Optional[dict[str, Any]]) -> tuple[int, int]:
    """Choose the size into which images are fitted: a user's, or that of the images as far as this machine goes.

    Args:
        size (Tuple[int, int]): Median width and height of the images in pixels.
        side (int, optional): ``--size``, the longer side in pixels.
        options (dict, optional): ``--cfg-options``. Its ``image_size`` is the size.

    Returns:
        Tuple[int, int]: Width and height in pixels.

    Raises:
        NumberError: ``--size`` is out of its range.
        ConfigError: ``image_size`` is neither a number of pixels nor two of them, or it is given beside ``--size``.

    Examples:
        >>> chosen_size((64, 48), 256, None), chosen_size((64, 48), None, None)  # only --size enlarges
        ((256, 192), (64, 48))
        >>> chosen_size((64, 48), None, dict(image_size=[96, 32]))
        (96, 32)
    """
    import torch

    from mmlgd.datasets.variables import width_and_height
    from mmlgd.utils.validation import require, whole

    if (stated := (options or {}).get('image_size')) is not None:
        require(
            side is None, f'--size {side} and --cfg-options image_size={stated} say the same. Leave one of them out.'
        )
        return width_and_height(stated)
    if side is not None:
        return _fitted(size, whole('--size', 32, 4096)(side), grow=True)
    return _fitted(size, _SIDES[torch.cuda.is_available()], grow=False)


def median_size(parts: dict[str, dict]) -> tuple[int, int]:
    """Find the median width and height of the images for training.

    Args:
        parts (Dict[str, dict]): Of :class:`~mmlgd.datasets.boxes.FoundBoxes`.

    Returns:
        Tuple[int, int]: Pixels.
    """
    import numpy as np

    sizes = [(image['width'], image['height']) for image in parts['train']['images']]
    width, height = np.median(np.array(sizes), axis=0)
    return int(width), int(height)


def size_text(size: tuple[int, int], chosen: tuple[int, int]) -> str:
    """Say which size was chosen.

    Args:
        size (Tuple[int, int]): Median width and height of the images in pixels.
        chosen (Tuple[int, int]): Width and height into which they are fitted.

    Returns:
        str: A sentence.
    """
    return (
        f'Images of {size[0]} x {size[1]} px (median) are fitted into {chosen[0]} x {chosen[1]} px: --size SIDE '
        f'changes it.'
    )


def tiny_text(parts: dict[str, dict], chosen: tuple[int, int]) -> str:
    """Warn if most boxes are too small for a detector at a size.

    Args:
        parts (Dict[str, dict]): Of :class:`~mmlgd.datasets.boxes.FoundBoxes`.
        chosen (Tuple[int, int]): Width and height into which images are fitted.

    Returns:
        str: The warning; empty if most are large enough.
    """
    import numpy as np

    scales = {
        image['id']: min(chosen[0] / image['width'], chosen[1] / image['height']) for image in parts['train']['images']
    }
    boxes = [(one['image_id'], *one['bbox'][2:]) for one in parts['train']['annotations']]
    sides = [scales[image] * (width * height) ** 0.5 for image, width, height in boxes if min(width, height) > 0]
    if (median := float(np.median(sides))) >= _TINY:
        return ''
    return (
        f'Half of the boxes have a side of {median:.1f} px or less at this size, and will hardly be found: a larger '
        f'--size helps, or images cut into tiles.'
    )


def _fitted(size: tuple[int, int], side: int, grow: bool) -> tuple[int, int]:
    """Bring a size to a longer side; a smaller one only if it may grow."""
    scale = side / max(size) if grow else min(1.0, side / max(size))
    width, height = (max(1, round(scale * one)) for one in size)
    return width, height
