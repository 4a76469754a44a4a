"""Read an image file correctly, or raise an error that says what is wrong with it."""

import errno
import io
import logging
import struct
from typing import Any, Optional

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import MMLogger
from PIL import Image, ImageChops, ImageOps

from mmlgd.errors import ConfigError
from mmlgd.registry import TRANSFORMS
from mmlgd.utils.files import UnreadableError, read_small

from .bad_images import BadImageError, BadImages, report_text
from .tar_members import Member
from .whole_files import jpeg_frame, unfinished

MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)  # 179 million; Pillow takes more for a decompression bomb
# Pillow's other formats are rare, or start other programs (EPS), which is not safe for images from other people.
_FORMATS = ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')
_CANVAS = (124, 117, 104)  # below transparent pixels, as in mmcv: white and black drawings stay visible on it
_DARK = 16  # of 255: the largest value of a 12-bit image in 16 bits
_JPEG_START = b'\xff\xd8'
_PNG_START, _PNG_HEADER = b'\x89PNG\r\n\x1a\n', struct.Struct('>8xIIBB')
_PNG_OPAQUE = (0, 2, 3)  # grey, colours, a palette
# The largest file size: four channels of 16 bits, and room for metadata, previews and what cameras add.
_BYTES_A_PIXEL, _ROOM = 8, 2**26
# Faults of the file itself. Errors of the machine (full disk, too many open files, lost network) pass unchanged.
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


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Load an image like mmcv's transform of the same name, and refuse files that are not a complete image.

    The content decides, not the suffix of the name. OpenCV decodes ordinary JPEG and PNG files, as in mmcv. The markers
    of a JPEG file are checked first, because OpenCV 4 fills the missing half of a truncated file with grey. Pillow
    decodes all others. Grey images, palettes and CMYK are converted to RGB, 16 bits are scaled to 8, the orientation in
    the EXIF data is applied, and transparent pixels get the mean colour of ImageNet as background.

    Args:
        max_pixels (int): Largest height times width; a larger image counts as a decompression bomb. Defaults to
            178,956,970, as in Pillow.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None: the path decides.
        like_mmcv (bool): Give the pixels of mmcv's transform for every file that it can read: it drops transparency and
            the lower half of 16 bits. For a training whose evaluation reads with mmcv. Defaults to False.
        bad_images (str): ``'raise'`` stops at the first bad image; with ``'skip'``, the data set of mmengine that calls
            it draws another image instead, and the log names each. Not for evaluation: a score would be over other
            images, and with ``test_mode`` such a data set stops.
            :class:`~mmlgd.datasets.Images` has a policy of its own, and refuses ``'skip'``. Defaults to ``'raise'``.
        max_bad_images (int): How many each process of a data loader may leave out. Without ``persistent_workers``,
            processes end with the epoch, and the next ones count anew. Defaults to 20.

    Raises:
        BadImageError: The file is missing, empty, cut off, not an image, too large, or would load as black; the
            message has its path and the reason.
        TooManyBadImagesError: More than ``max_bad_images`` were left out.
        ConfigError: The policy is unknown, or ``max_bad_images`` is not a number of images.

    Examples:
        >>> pipeline = [dict(type='mmlgd.LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
    """

    def __init__(
        self,
        max_pixels: int = MAX_PIXELS,
        backend_args: Optional[dict] = None,
        like_mmcv: bool = False,
        bad_images: str = 'raise',
        max_bad_images: int = 20,
    ):
        self.bad_images = BadImages(bad_images, max_bad_images)
        if max_bad_images < 1:  # a share, and a transform does not know of how many
            raise ConfigError(f'max_bad_images is a number of images here, at least 1, got {max_bad_images!r}.')
        self.max_pixels = max_pixels
        self.backend_args = backend_args
        self.like_mmcv = like_mmcv
        self._met: dict[str, str] = {}

    def transform(self, results: dict) -> Optional[dict]:
        """Load.

        Args:
            results (dict): With ``img_path``, and ``member`` if the image is in a shard; or with ``img`` alone, if the
                caller has read the image already, as mmpretrain's inferencers do.

        Returns:
            dict: With ``img`` (H, W, 3) uint8, BGR, ``img_shape`` and ``ori_shape``. None if the image is left out.
        """
        if 'img' in results and 'img_path' not in results:
            return results
        place = (results['img_path'], self.max_pixels, self.backend_args, self.like_mmcv)
        try:
            results['img'] = read_image(*place, member=results.get('member'))
        except BadImageError as error:
            if self.bad_images.policy == 'raise':
                raise
            self._leave_out(error)
            return None
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def _leave_out(self, error: BadImageError) -> None:
        if error.path not in self._met:
            # mmengine shows no warnings of other processes than the first, and each has images of its own.
            level = logging.WARNING if is_main_process() else logging.ERROR
            MMLogger.get_current_instance().log(level, report_text(error.path, error.reason))
            self._met[error.path] = error.reason
            self.bad_images.require_few(self._met, None)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_pixels={self.max_pixels}, backend_args={self.backend_args}, '
            f'like_mmcv={self.like_mmcv}, bad_images={self.bad_images.policy!r}, max_bad_images={self.bad_images.most})'
        )


def draws_others(dataset: Any) -> bool:
    """Check whether the pipeline of a data set makes it draw other images for bad ones.

    Args:
        dataset (Dataset): With a ``pipeline`` or without.

    Returns:
        bool: Whether it has a :class:`LoadImageFromFile` with ``bad_images='skip'``.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    return any(isinstance(step, LoadImageFromFile) and step.bad_images.policy == 'skip' for step in steps)


def read_image(
    path: str,
    max_pixels: int = MAX_PIXELS,
    backend_args: Optional[dict] = None,
    like_mmcv: bool = False,
    member: Optional[Member] = None,
) -> np.ndarray:
    """Read one image file.

    Args:
        path (str): A path or URL.
        max_pixels (int): See :class:`LoadImageFromFile`.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None.
        like_mmcv (bool): See :class:`LoadImageFromFile`.
        member (Member, optional): Its place in a shard. Defaults to None: it is a file of its own.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        BadImageError: See :class:`LoadImageFromFile`.
    """
    try:
        return decode(read_bytes(path, max_pixels, backend_args, member), max_pixels, like_mmcv)
    except BadImageError as error:
        raise BadImageError.of(path, error.reason) from error


def read_bytes(
    path: str,
    max_pixels: int = MAX_PIXELS,
    backend_args: Optional[dict] = None,
    member: Optional[Member] = None,
) -> bytes:
    """Read an image file of ordinary size; refuse pipes and devices, which could block forever.

    Args:
        path (str): A path or URL.
        max_pixels (int): See :class:`LoadImageFromFile`. Defaults to 178,956,970. The file may have 8 bytes for each of
            these pixels, and 64 MiB more. A file from a network has no limit.
        backend_args (dict, optional): Of mmengine's file backend. Defaults to None.
        member (Member, optional): Its place in a shard. Defaults to None: it is a file of its own.

    Returns:
        bytes: All of it.

    Raises:
        BadImageError: It cannot be read, is not a regular file, or is too large; without a path.
        OSError: A fault of the machine, such as too many open files.
    """
    most = max_pixels * _BYTES_A_PIXEL + _ROOM
    # The name of a member may be that of a web page, which is no address here.
    backend = None if member else get_file_backend(path, backend_args=backend_args, enable_singleton=True)
    try:
        if member:
            return member.read(most)
        return read_small(path, most) if isinstance(backend, LocalBackend) else backend.get(path)
    except UnreadableError as error:
        raise BadImageError(f'it cannot be read ({error.reason})') from error
    except OSError as error:
        if error.errno not in _FILE_FAULTS:
            raise
        raise BadImageError(f'it cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise BadImageError(f'it cannot be read ({error})') from error  # a NUL in its name


def decode(content: bytes, max_pixels: int = MAX_PIXELS, like_mmcv: bool = False) -> np.ndarray:
    """Decode the content of an image file.

    Args:
        content (bytes): All of it.
        max_pixels (int): See :class:`LoadImageFromFile`.
        like_mmcv (bool): Likewise.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        BadImageError: See :class:`LoadImageFromFile`; without a path.
    """
    if not content:
        raise BadImageError('it is empty (0 bytes)')
    try:
        if size := _plain_size(content, max_pixels):
            pixels = _by_opencv(content)
            if pixels is not None:
                if sorted(pixels.shape[:2]) != sorted(size):  # EXIF data may rotate it
                    raise BadImageError(f'it is damaged (its header says {size[1]} x {size[0]} pixels)')
                return pixels
        pixels = _by_pillow(content, max_pixels)
        theirs = _by_opencv(content) if like_mmcv else None  # None, too, for a format that OpenCV does not know
        return pixels if theirs is None else theirs
    except (BadImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImageError(f'it is not a readable image (it begins with {content[:16]!r})') from error
    except Exception as error:  # each decoder has its own errors
        raise BadImageError(f'it is damaged ({" ".join(str(error).split())})') from error


def _plain_size(content: bytes, max_pixels: int) -> Optional[tuple[int, int]]:
    """Find height and width of a file that OpenCV reads correctly: JPEG or PNG of 8 bits, grey or colour, no alpha."""
    if content.startswith(_JPEG_START):
        frame = jpeg_frame(content)
        if frame is None:
            raise BadImageError('it is cut off (a JPEG file without its end)')
        height, width, channels = frame
        is_plain = channels < 4  # OpenCV takes all CMYK files for Adobe's, whose values are inverted
    elif content.startswith(_PNG_START) and len(content) > _PNG_HEADER.size + len(_PNG_START):
        width, height, depth, colours = _PNG_HEADER.unpack_from(content, len(_PNG_START))
        is_plain = depth <= 8 and colours in _PNG_OPAQUE and b'tRNS' not in content[: content.find(b'IDAT')]
    else:
        return None
    _check_size(height, width, max_pixels)
    return (height, width) if is_plain else None


def _by_opencv(content: bytes) -> Optional[np.ndarray]:
    return mmcv.imfrombytes(content, flag='color', backend='cv2')


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise BadImageError(
            f'it has {width} x {height} pixels; more than max_pixels={max_pixels} count as a decompression bomb'
        )


def _by_pillow(content: bytes, max_pixels: int) -> np.ndarray:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our check is between header and pixels
    try:
        if content.startswith(_PNG_START):
            with _open(content) as image:
                image.verify()  # the checksums, which Pillow does not compare when it loads pixels
        with _open(content) as image:
            _check_size(image.height, image.width, max_pixels)
            is_deep = image.mode[0] in 'IF' or ';16' in str(image.tile)  # 16 bits; Pillow gives 8 of them for colours
            image.load()
            if fault := unfinished(content, image.format):
                raise BadImageError(fault)
            if image.format == 'JPEG' and image.mode == 'CMYK' and 'adobe' not in image.info:
                image = ImageChops.invert(image)  # Pillow, like OpenCV, takes it for Adobe's
            image = ImageOps.exif_transpose(image)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    pixels = np.asarray(_without_depth(image) if image.mode[0] in 'IF' else _without_alpha(image))
    if is_deep and pixels.max() <= _DARK:
        raise BadImageError(
            f'it has 16 bits a channel but uses only the lowest, so that it would load as black (at most '
            f'{pixels.max()} of 255). Scale its values to 0..65535, or save it with 8 bits'
        )
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _open(content: bytes) -> Image.Image:
    Image.init()
    return Image.open(io.BytesIO(content), formats=[name for name in _FORMATS if name in Image.OPEN])


def _without_depth(image: Image.Image) -> Image.Image:
    """Scale 16 bits to 8, which Pillow would clip."""
    values = np.asarray(image)
    if image.mode == 'F' or values.min() < 0 or values.max() > 65535:
        raise BadImageError(
            f'its values are {values.dtype} from {values.min():g} to {values.max():g}, and it is unknown which value '
            f'is white. Save it with 8 or 16 bits'
        )
    return Image.fromarray(np.rint(values / 257).astype(np.uint8)).convert('RGB')


def _without_alpha(image: Image.Image) -> Image.Image:
    if not (image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info):
        return image.convert('RGB')
    image = image.convert('RGBA')
    alpha = image.getchannel('A')
    if alpha.getextrema()[1] == 0:
        raise BadImageError('all its pixels are transparent')
    canvas = Image.new('RGB', image.size, _CANVAS)
    canvas.paste(image, mask=alpha)
    return canvas
