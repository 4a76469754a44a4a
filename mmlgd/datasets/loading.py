"""Reading an image file: an image as it is meant to look, or an error that says what is wrong with the file."""

import errno
import io
import struct
from typing import Optional

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.fileio import LocalBackend, get_file_backend
from PIL import Image, ImageChops, ImageOps

from mmlgd.errors import MMLGDError, shown
from mmlgd.registry import TRANSFORMS
from mmlgd.utils.files import UnreadableError, read_small

from .whole_files import jpeg_frame, unfinished

MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)  # 179 million, from where on Pillow sees a decompression bomb
# Pillow's others are rare, or start other programs (EPS), which no folder of images may do.
_FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
_CANVAS = (124, 117, 104)  # below transparent pixels, as in mmcv: neither white nor black drawings vanish on it
_DARK = 16  # of 255: what 12 bits come to, of 16
_JPEG_START = b'\xff\xd8'
_PNG_START, _PNG_HEADER = b'\x89PNG\r\n\x1a\n', struct.Struct('>8xIIBB')
_PNG_OPAQUE = (0, 2, 3)  # grey, colours, a palette
# A file holds no more: four channels of 16 bits, and room for metadata, previews and what cameras add.
_BYTES_A_PIXEL, _ROOM = 8, 2**26
# The file's own faults. A full disk, too many open files or a lost network are not: they are raised as they are.
_FILE_FAULTS = (
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.EIO,
    errno.ENXIO,  # a socket
    errno.ENAMETOOLONG,
    errno.EILSEQ,
)


class BadPictureError(MMLGDError, ValueError):
    """A file that is no image, or not a whole one.

    Args:
        message (str): For the user.
        path (str): The file. Defaults to '', where it is not known yet (or no longer: a data loader's processes hand
            on the message alone).
        reason (str): What is wrong with it. Defaults to ``message``.
    """

    def __init__(self, message: str, path: str = '', reason: str = ''):
        super().__init__(message)
        self.path = path
        self.reason = reason or message

    @classmethod
    def of(cls, path: str, reason: str) -> 'BadPictureError':
        """Write the message.

        Args:
            path (str): The file.
            reason (str): What is wrong with it.

        Returns:
            BadPictureError: To be raised.
        """
        return cls(
            f'The image {shown(path)} cannot be used: {reason}. Mend it or take it out of the folder; pre-training '
            f"can leave such images out (train_dataloader.dataset.bad_pictures='skip').",
            path,
            reason,
        )


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Load an image as mmcv's transform of that name does, and refuse what is not a whole image.

    The content decides, not the ending of the name. Ordinary JPEG and PNG files go through OpenCV, as in mmcv, JPEG
    after a look at its markers: OpenCV 4 fills the missing half of a file that is cut off with grey. All others go
    through Pillow. Grey images, palettes and CMYK become colours, 16 bits are scaled to 8, an orientation in the EXIF
    data is followed, and transparent pixels are laid on the mean colour of ImageNet.

    Args:
        max_pixels (int): Height times width, from which on an image counts as a decompression bomb. Defaults to
            178,956,970, as in Pillow.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None, which asks the path.

    Raises:
        BadPictureError: The file is missing, empty, cut off, no image, too large, or would load as a black one; the
            message has its path and what is wrong with it.

    Examples:
        >>> pipeline = [dict(type='mmlgd.LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
    """

    def __init__(self, max_pixels: int = MAX_PIXELS, backend_args: Optional[dict] = None):
        self.max_pixels = max_pixels
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load.

        Args:
            results (dict): With ``img_path``; or with ``img`` alone, from whom has read the image already, as
                mmpretrain's inferencers have.

        Returns:
            dict: With ``img`` (H, W, 3) uint8, BGR, ``img_shape`` and ``ori_shape``.
        """
        if 'img' in results and 'img_path' not in results:
            return results
        results['img'] = read_picture(results['img_path'], self.max_pixels, self.backend_args)
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_pixels={self.max_pixels}, backend_args={self.backend_args})'


def read_picture(path: str, max_pixels: int = MAX_PIXELS, backend_args: Optional[dict] = None) -> np.ndarray:
    """Read one image file.

    Args:
        path (str): A path or URL.
        max_pixels (int): See :class:`LoadImageFromFile`.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        BadPictureError: See :class:`LoadImageFromFile`.
    """
    try:
        return decode(read_bytes(path, max_pixels, backend_args), max_pixels)
    except BadPictureError as error:
        raise BadPictureError.of(path, error.reason) from error


def read_bytes(path: str, max_pixels: int = MAX_PIXELS, backend_args: Optional[dict] = None) -> bytes:
    """Read an image file of ordinary size, and nothing that only looks like a file: a pipe would wait for good.

    Args:
        path (str): A path or URL.
        max_pixels (int): See :class:`LoadImageFromFile`. Defaults to 178,956,970; no image of so many pixels takes
            more than 8 bytes for each. What comes over a network has no limit.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None.

    Returns:
        bytes: All of it.

    Raises:
        BadPictureError: It cannot be read, is no regular file, or too large; without a path.
        OSError: A fault of the machine, as too many open files.
    """
    backend = get_file_backend(path, backend_args=backend_args, enable_singleton=True)
    try:
        if not isinstance(backend, LocalBackend):
            return backend.get(path)
        return read_small(path, max_pixels * _BYTES_A_PIXEL + _ROOM)
    except UnreadableError as error:
        raise BadPictureError(f'it cannot be read ({error.reason})') from error
    except OSError as error:
        if error.errno not in _FILE_FAULTS:
            raise
        raise BadPictureError(f'it cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise BadPictureError(f'it cannot be read ({error})') from error  # a NUL in its name


def decode(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode the content of an image file.

    Args:
        content (bytes): All of it.
        max_pixels (int): See :class:`LoadImageFromFile`.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        BadPictureError: See :class:`LoadImageFromFile`; without a path.
    """
    if not content:
        raise BadPictureError('it is empty (0 bytes)')
    try:
        if size := _plain_size(content, max_pixels):
            picture = mmcv.imfrombytes(content, flag='color', backend='cv2')
            if picture is not None:
                if sorted(picture.shape[:2]) != sorted(size):  # it may be turned
                    raise BadPictureError(f'it is damaged (its header tells of {size[1]} x {size[0]} pixels)')
                return picture
        return _by_pillow(content, max_pixels)
    except (BadPictureError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise BadPictureError(f'it is no image that can be read (it begins with {content[:16]!r})') from error
    except Exception as error:  # each decoder has errors of its own
        raise BadPictureError(f'it is damaged ({" ".join(str(error).split())})') from error


def _plain_size(content: bytes, max_pixels: int) -> Optional[tuple[int, int]]:
    """Find height and width of what OpenCV reads as it is meant: JPEG or PNG of 8 bits, grey or colours alone."""
    if content.startswith(_JPEG_START):
        frame = jpeg_frame(content)
        if frame is None:
            raise BadPictureError('it is cut off (a JPEG file without its end)')
        height, width, channels = frame
        is_plain = channels < 4  # of CMYK, OpenCV takes all for Adobe's, whose values are inverted
    elif content.startswith(_PNG_START) and len(content) > _PNG_HEADER.size + len(_PNG_START):
        width, height, depth, colours = _PNG_HEADER.unpack_from(content, len(_PNG_START))
        is_plain = depth <= 8 and colours in _PNG_OPAQUE and b'tRNS' not in content[: content.find(b'IDAT')]
    else:
        return None
    _check_size(height, width, max_pixels)
    return (height, width) if is_plain else None


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise BadPictureError(
            f'it has {width} x {height} pixels; more than max_pixels={max_pixels} are taken for a decompression bomb'
        )


def _by_pillow(content: bytes, max_pixels: int) -> np.ndarray:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours comes between the header and the pixels
    try:
        if content.startswith(_PNG_START):
            with _open(content) as image:
                image.verify()  # the checksums, which Pillow does not compare on its way to the pixels
        with _open(content) as image:
            _check_size(image.height, image.width, max_pixels)
            is_deep = image.mode[0] in 'IF' or ';16' in str(image.tile)  # of 16 bits, in colours 8 are handed on
            image.load()
            if fault := unfinished(content, image.format):
                raise BadPictureError(fault)
            if image.format == 'JPEG' and image.mode == 'CMYK' and 'adobe' not in image.info:
                image = ImageChops.invert(image)  # which Pillow, like OpenCV, takes to be as Adobe's are
            image = ImageOps.exif_transpose(image)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    picture = np.asarray(_without_depth(image) if image.mode[0] in 'IF' else _without_alpha(image))
    if is_deep and picture.max() <= _DARK:
        raise BadPictureError(
            f'it has 16 bits a channel and uses the lowest alone, so that it would load as black (at most '
            f'{picture.max()} of 255). Stretch its values to 0..65535, or save it with 8 bits'
        )
    return np.ascontiguousarray(picture[:, :, ::-1])


def _open(content: bytes) -> Image.Image:
    Image.init()
    return Image.open(io.BytesIO(content), formats=[name for name in _FORMATS if name in Image.OPEN])


def _without_depth(image: Image.Image) -> Image.Image:
    """Scale 16 bits to 8, which Pillow would clip."""
    values = np.asarray(image)
    if image.mode == 'F' or values.min() < 0 or values.max() > 65535:
        raise BadPictureError(
            f'its values are {values.dtype} from {values.min():g} to {values.max():g}, and nothing says which of them '
            f'is white. Save it with 8 or 16 bits'
        )
    return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert('RGB')


def _without_alpha(image: Image.Image) -> Image.Image:
    if not (image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info):
        return image.convert('RGB')
    image = image.convert('RGBA')
    alpha = image.getchannel('A')
    if alpha.getextrema()[1] == 0:
        raise BadPictureError('it is transparent everywhere: there is nothing to see')
    canvas = Image.new('RGB', image.size, _CANVAS)
    canvas.paste(image, mask=alpha)
    return canvas
