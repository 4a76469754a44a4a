"""The size that an image has when a library has loaded it."""

from PIL import Image

_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF data: those that swap width and height


def loaded_size(opened: Image.Image) -> tuple[int, int]:
    """Read the size of an image from its header.

    Args:
        opened (Image): Opened by PIL, and not yet decoded.

    Returns:
        Tuple[int, int]: Width and height in pixels, after the rotation of its EXIF data, which mmcv applies.

    Examples:
        >>> loaded_size(Image.new('RGB', (8, 4)))
        (8, 4)
    """
    # Of a PNG, this would decode the pixels.
    turned = opened.format != 'PNG' and opened.getexif().get(_ORIENTATION, 1) in _TURNED
    return opened.size[::-1] if turned else opened.size
