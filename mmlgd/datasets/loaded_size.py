"""The size that an image has when a library has loaded it."""

import io
import os
import struct
from functools import cache
from typing import Optional

import mmcv
from PIL import Image

_WIDTH, _HEIGHT, _ORIENTATION = 0x0100, 0x0101, 0x0112  # tags of TIFF, and of EXIF data
_TURNED = (5, 6, 7, 8)  # the orientations that swap width and height
_CHUNK, _PNG_HEAD = struct.Struct('>I4s'), 8  # length and name before each part of a PNG; the bytes before the first


def loaded_size(opened: Image.Image) -> tuple[int, int]:
    """Read the size of an image from its header, as mmcv loads it by OpenCV.

    Args:
        opened (Image): Opened by PIL, and not yet decoded.

    Returns:
        Tuple[int, int]: Width and height in pixels, after the rotation that its EXIF data ask for, where the installed
        OpenCV applies it: OpenCV 4.12 does so for JPEG, PNG and TIFF, and OpenCV 5 for WEBP, too.

    Examples:
        >>> loaded_size(Image.new('RGB', (8, 4)))
        (8, 4)
    """
    if opened.format == 'TIFF':  # Pillow may have turned its size already
        size, orientation = (opened.tag_v2[_WIDTH], opened.tag_v2[_HEIGHT]), opened.tag_v2.get(_ORIENTATION)
    else:
        size, orientation = opened.size, _orientation(opened)
    return size[::-1] if orientation in _TURNED and _is_turned_by_opencv(opened.format) else size


def _orientation(opened: Image.Image) -> Optional[int]:
    """Read it from EXIF data alone; Pillow's ``getexif`` takes XMP and text, too, which OpenCV does not read."""
    exif = Image.Exif()
    try:
        exif.load(_exif_of_png(opened.fp) if opened.format == 'PNG' else opened.info.get('exif'))
        return exif.get(_ORIENTATION)
    except (SyntaxError, struct.error):  # broken data turn nothing
        return None


def _exif_of_png(file: io.BufferedIOBase) -> Optional[bytes]:
    """Find EXIF data, which may lie behind the pixels; Pillow would decode these first."""
    before = file.tell()
    file.seek(_PNG_HEAD)
    try:
        while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
            length, name = _CHUNK.unpack(head)
            if name == b'eXIf':
                return file.read(length)
            file.seek(length + 4, os.SEEK_CUR)  # a checksum follows
        return None
    finally:
        file.seek(before)


@cache
def _is_turned_by_opencv(kind: str) -> bool:
    """Try it, because it differs between versions and formats."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[_ORIENTATION] = 6
    Image.new('RGB', (2, 1)).save(file, kind, exif=exif)
    loaded = mmcv.imfrombytes(file.getvalue())
    return loaded is not None and loaded.shape[:2] == (2, 1)  # None: OpenCV does not know the format
