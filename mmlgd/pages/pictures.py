"""Pictures inside a page: small JPEGs as data URIs."""

import base64
import io

from PIL import Image

_QUALITY = 82


def jpeg(image: Image.Image, side: int) -> str:
    """Encode an image for a page.

    Args:
        image (PIL.Image.Image): The image; it is not changed.
        side (int): Its longer side in the page, in pixels, at most.

    Returns:
        str: A data URI.

    Examples:
        >>> jpeg(Image.new('RGB', (800, 400)), 100)[:23]
        'data:image/jpeg;base64,'
    """
    small, content = image.convert('RGB'), io.BytesIO()
    small.thumbnail((side, side))
    small.save(content, format='JPEG', quality=_QUALITY, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(content.getvalue()).decode('ascii')
