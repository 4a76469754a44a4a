"""Check that an image file is complete, for formats whose decoder does not check this."""

import io
import re
from collections.abc import Iterator
from typing import Optional

from PIL import Image

# A marker with a length. The others are skipped: a stuffed byte (FF 00) of the compressed data, a restart in the data
# (FF D0 to D7), a second start (D8), TEM (01).
_MARKER = re.compile(rb'\xff[\x02-\xcf\xd9-\xfe]')
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
_JPEG_END = b'\xff\xd9'
_AV1_STARTS = (b'\x12\0', b'\x0a')  # a temporal delimiter, or the sequence header at once
_ZEROS = bytes(4)  # many complete WebP files end with fewer zeros
# No real file has more parts, and no list of items has more bytes: a longer walk would only take time.
_PARTS, _LIST = 20_000, 2**18
_SPARE = 8  # bytes: a complete WebP file cannot be decoded without its last 8


def jpeg_frame(content: bytes) -> Optional[tuple[int, int, int]]:
    """Read the size of a JPEG file from the frame that a decoder uses, and find the end of the file.

    The walk from marker to marker is like libjpeg's. A decoder does not see a frame outside of this walk, and it
    refuses a second frame.

    Args:
        content (bytes): Begins with FF D8.

    Returns:
        Tuple[int, int, int], optional: Height, width and channels. None if there is no frame, or no end within more
        markers than an image has.

    Examples:
        >>> jpeg_frame(b'the end is missing')
    """
    frame, at = None, 2
    for _ in range(_PARTS):
        if not (marker := _MARKER.search(content, at)):
            break
        at = marker.end()
        kind = content[at - 1]
        if kind == _END:  # cameras and downloads may add bytes after it
            return frame
        if frame is None and kind in _FRAMES and len(content) > at + 7:
            frame = (
                int.from_bytes(content[at + 3 : at + 5], 'big'),
                int.from_bytes(content[at + 5 : at + 7], 'big'),
                content[at + 7],
            )
        # The data contain only one end marker, their own. A preview in the EXIF data also has one, but before the data.
        if frame and kind == _SCAN and content.endswith(_JPEG_END):
            return frame
        at += max(2, int.from_bytes(content[at : at + 2], 'big'))
    return None


def unfinished(content: bytes, kind: str) -> str:
    """Find out whether the end of a file of the right length is missing, as after an interrupted download.

    Zeros replace the lost part, and decoders of WebP, AVIF and GIF take them for image data.

    Args:
        content (bytes): All of the file, which has been decoded.
        kind (str): Its format, as Pillow calls it.

    Returns:
        str: What is missing. Empty if nothing is missing, if the decoder of the format reports it, or if the format
        gives no sign of it.

    Examples:
        >>> unfinished(b'GIF89a' + bytes(99), 'GIF')
        'it is cut off (its end is zeros)'
    """
    check = dict(AVIF=_is_unfinished_avif, GIF=_is_unfinished_gif, WEBP=_is_unfinished_webp).get(kind)
    return 'it is cut off (its end is zeros)' if check and check(content) else ''


def _is_unfinished_gif(content: bytes) -> bool:
    return content.endswith(b'\0') and not content.rstrip(b'\0').endswith(b';')


def _is_unfinished_avif(content: bytes) -> bool:
    """Check the last byte of each AV1 item: an encoder writes a 1 bit last and pads the byte, so it is never 0."""
    return any(
        content.startswith(_AV1_STARTS, start, end) and content.endswith(b'\0', start, end)
        for start, end in _heif_extents(content)
    )


def _is_unfinished_webp(content: bytes) -> bool:
    """Test whether the zeros at the end are needed: a complete file cannot be decoded without its last bytes.

    Zeros alone prove nothing: many white rows also give some.
    """
    kind, data = _webp_data(content)
    if not data.endswith(_ZEROS):
        return False
    data = data[:-_SPARE]
    body = b'WEBP' + kind + len(data).to_bytes(4, 'little') + data + bytes(len(data) % 2)
    try:
        Image.open(io.BytesIO(b'RIFF' + len(body).to_bytes(4, 'little') + body), formats=['WEBP']).load()
    except Exception:
        return False
    return True


def _webp_data(content: bytes) -> tuple[bytes, bytes]:
    """Find the kind and the data of the first image in a WebP file."""
    at = 12
    for _ in range(_PARTS):
        if at + 8 > len(content):
            break
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], 'little')
        if kind in (b'VP8 ', b'VP8L'):
            return kind, content[at + 8 : at + 8 + size]
        at += 24 if kind == b'ANMF' else 8 + size + size % 2  # the images of an animation lie within its frames
    return b'', b''


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk over the boxes of an ISO file: kind, start and end of each one's content."""
    for _ in range(_PARTS):
        if at + 8 > end:
            break
        size, kind, head = int.from_bytes(content[at : at + 4], 'big'), content[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], 'big'), 16
        size = max(size, head) if size else end - at  # 0: to the end of the file
        yield kind, at + head, min(at + size, end)
        at += size


def _heif_extents(content: bytes) -> Iterator[tuple[int, int]]:
    """Find the items of a HEIF file: start and end of each of their pieces.

    A decoder reads only the first of two lists.
    """
    at, end = 0, len(content)
    for wanted, version in ((b'meta', 4), (b'iloc', 0)):
        found = next((box for box in _boxes(content, at, end) if box[0] == wanted), None)
        if found is None:
            return
        at, end = found[1] + version, found[2]
    yield from _located(io.BytesIO(content[at : min(end, at + _LIST)]))


def _located(iloc: io.BytesIO) -> Iterator[tuple[int, int]]:
    def number(size: int) -> int:
        if len(read := iloc.read(size)) < size:
            raise ValueError('the list of its items ends early')
        return int.from_bytes(read, 'big')

    version, sizes = number(4) >> 24, number(2)
    of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if not of_length:  # each item is all of the file
        return
    for _ in range(number(4 if version == 2 else 2)):
        number(4 if version == 2 else 2)  # of the item
        method = number(2) & 15 if version else 0
        number(2)  # of the file, where there are several
        base = number(of_base)
        for _ in range(number(2)):
            number(of_index if version else 0)
            start = base + number(of_offset)
            length = number(of_length)
            if method == 0:  # from the start of the file
                yield start, start + length
