"""Files that lost their end, or that hide a larger image: what is not whole is refused, or has all of its pixels."""

import resource
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image, features

from mmlgd.datasets import BadImageError
from mmlgd.datasets.loading import decode
from mmlgd.datasets.whole_files import _boxes, _heif_extents, _webp_data, jpeg_frame, unfinished
from tests.bad_images import encode, photo

EXIF = Image.Exif()
EXIF[0x010E] = 'a description'
# Options by name, and how many bytes at the end may be lost unseen: those after the last one that a decoder needs, and
# of TIFF the list of its tags, which is of no use to the pixels alone.
FORMATS = {
    'JPEG': (dict(), 0),
    'JPEG progressive': (dict(progressive=True), 0),
    'PNG': (dict(), 0),
    'WEBP': (dict(), 60),
    'WEBP with metadata': (dict(exif=EXIF.tobytes()), 120),
    'WEBP lossless': (dict(lossless=True), 60),
    'AVIF': (dict(), 0),
    'AVIF of best quality': (dict(quality=100), 0),
    'GIF': (dict(), 0),
    'JPEG2000': (dict(), 0),
    'JPEG2000 stream': (dict(no_jp2=True), 0),
    'TIFF lzw': (dict(compression='tiff_lzw'), 0),
    'TIFF deflate': (dict(compression='tiff_adobe_deflate'), 0),
    'TIFF jpeg': (dict(compression='jpeg'), 150),
    'TIFF packbits': (dict(compression='packbits'), 150),
}
UNCOMPRESSED = ('BMP', 'PPM', 'TIFF')  # zeros are black pixels there: what was cut off is seen, what was zeroed is not


@pytest.fixture(scope='module', params=['rough', 'white below', 'transparent'])
def image(request):
    smooth = np.asarray(Image.fromarray(photo()).resize((96, 80), Image.Resampling.BICUBIC))
    rough = np.clip(smooth + np.random.default_rng(0).integers(-40, 41, smooth.shape), 0, 255).astype(np.uint8)
    if request.param == 'white below':
        rough[30:] = 255
    if request.param == 'transparent':
        rough = np.concatenate([rough, smooth[..., :1] // 2 + 100], axis=2)
    return Image.fromarray(rough)


def places(size):
    """From the first byte to the last ones, which are a format's own."""
    return sorted(
        {int(size * share) for share in np.linspace(0, 1, 24, endpoint=False)}
        | {*range(size - 120, size, 3)}
        | {*range(size - 9, size)}
    )


def is_right(content, whole):
    try:
        found = decode(content)
    except BadImageError:
        return True
    return np.array_equal(found, whole)


@pytest.mark.parametrize('name', [*FORMATS, *UNCOMPRESSED])
def test_a_file_that_lost_its_end_is_refused_or_has_all_of_its_pixels(name, image):
    kind = name.split()[0]
    options, unseen = FORMATS.get(name, ({}, None))
    if kind in ('AVIF', 'JPEG2000') and not features.check(dict(AVIF='avif', JPEG2000='jpg_2000')[kind]):
        pytest.skip(f'Pillow without {kind}')
    if kind == 'JPEG':
        image = image.convert('RGB')
    elif kind == 'GIF':
        image = image.convert('P')
    content = encode(image, kind, **options)
    whole, size = decode(content), len(content)
    for at in places(size):
        assert is_right(content[:at], whole), f'cut off at {at} of {size}'
        if unseen is not None and at < size - unseen:
            assert is_right(content[:at] + bytes(size - at), whole), f'zeros from {at} of {size} on'
    assert is_right(content + b'added', whole)


def test_the_end_of_an_animation_counts_for_its_first_image():
    frames = [Image.fromarray(photo(k)) for k in range(3)]
    content = encode(frames[0], 'WEBP', save_all=True, append_images=frames[1:], quality=90)
    decode(content)
    size = int.from_bytes(content[content.index(b'ANMF') + 4 :][:4], 'little')
    end = content.index(b'ANMF') + 8 + size
    with pytest.raises(BadImageError):
        decode(content[: end - 300] + bytes(300) + content[end:])


def test_a_white_image_is_not_damaged():
    """Its WebP file ends in zeros, and is whole."""
    for side in (64, 1000):
        content = encode(np.full((side, side, 3), 255, np.uint8), 'WEBP')
        assert (decode(content) >= 254).all()


def decoys():
    """A huge frame, which decoders take, behind markers that have no length; who jumps over it finds a small one."""
    small = encode(photo(), 'JPEG')
    at = small.index(b'\xff\xc0')
    length = 2 + int.from_bytes(small[at + 2 : at + 4], 'big')
    frame, rest = small[at : at + length], small[at + length :]
    huge = frame[:5] + struct.pack('>HH', 15_000, 15_000) + frame[9:]
    for name, marker in dict(
        tem=b'\xff\x01', restart=b'\xff\xd0', last_restart=b'\xff\xd7', start=b'\xff\xd8', fill=b'\xff\xff\xff'
    ).items():
        # As a length, the frame's own marker leads 0xFFC0 bytes on: into a comment.
        comment = bytes(0xFFC0 - length - 4) + frame
        comment = b'\xff\xfe' + struct.pack('>H', len(comment) + 2) + comment
        yield name, small[:at] + marker + huge + comment + rest
    yield 'short_length', small[:at] + b'\xff\xe5\0\0' + huge + rest
    yield 'two_frames', small[:at] + huge + frame + rest


@pytest.mark.parametrize('name, content', [*decoys()], ids=lambda value: value if isinstance(value, str) else '')
def test_a_jpeg_bomb_behind_a_decoy_is_refused_before_it_is_unpacked(name, content):
    assert len(content) < 70_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadImageError, match='15000 x 15000 pixels; more than max_pixels'):
        decode(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_the_frame_is_the_decoders():
    """Whatever stands between the markers: what the check says is what comes out."""
    for seed, options in enumerate((dict(), dict(progressive=True), dict(subsampling=0, optimize=True))):
        image = Image.fromarray(photo(seed)).resize((40 + seed, 30))
        content = encode(image, 'JPEG', **options)
        at = next(content.index(marker) for marker in (b'\xff\xc0', b'\xff\xc2') if marker in content)
        for between in (b'', b'\xff\x01', b'\xff\xd3', b'\xff' * 9, b'\xff\xfe\0\x04\xff\xd9', b'no marker', b'\xff\0'):
            changed = content[:at] + between + content[at:]
            assert jpeg_frame(changed) == (30, 40 + seed, 3)
            assert decode(changed).shape == (30, 40 + seed, 3)
    assert jpeg_frame(content[:at]) is None
    no_height = content[:at] + content[at : at + 5] + b'\0\0' + content[at + 7 :]  # as DNL would tell it later
    with pytest.raises(BadImageError):
        decode(no_height)


def test_an_avif_file_with_a_list_of_items_that_has_no_end_is_read_to_its_end():
    box = lambda kind, body: struct.pack('>I', len(body) + 8) + kind + body  # noqa: E731
    for sizes in (b'\0\0', b'\x44\x40'):
        iloc = box(b'iloc', b'\x02\0\0\0' + sizes + b'\xff\xff\xff\xff' + bytes(50))
        content = box(b'ftyp', b'avif') + box(b'meta', bytes(4) + iloc)
        try:
            assert list(_heif_extents(content)) == []
        except ValueError as error:
            assert 'ends early' in str(error)


def box(kind, body):
    return struct.pack('>I', len(body) + 8) + kind + body


@pytest.mark.skipif(not features.check('avif'), reason='Pillow without AVIF')
def test_a_list_of_items_that_no_decoder_reads_takes_no_memory():
    """A second list names the whole file, again and again."""
    extents = struct.pack('>4sHHHHIH', bytes(4), 0x0440, 1, 1, 0, 1, 500) + struct.pack('>I', 2**31 - 1) * 500
    content = encode(photo(), 'AVIF') + box(b'free', bytes([1]) * 10**6)
    planted = content + box(b'meta', bytes(4) + box(b'iloc', extents))
    alone = box(b'ftyp', b'avif') + box(b'free', bytes([1]) * 10**6) + box(b'meta', bytes(4) + box(b'iloc', extents))
    tracemalloc.start()
    try:
        assert unfinished(planted, 'AVIF') == unfinished(alone, 'AVIF') == ''
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_walk_over_parts_without_end_ends():
    jpeg, webp, parts = encode(photo(), 'JPEG'), encode(photo(), 'WEBP'), 100_000
    with pytest.raises(BadImageError, match='cut off'):
        decode(jpeg[:2] + b'\xff\xfe\0\2' * parts + jpeg[2:])
    assert decode(jpeg[:2] + b'\xff\x01' * parts + jpeg[2:]).shape == photo().shape  # which cost a decoder nothing
    assert len([*_boxes(box(b'free', b'') * parts, 0, 8 * parts)]) < parts
    assert _webp_data(webp[:12] + b'SOME\0\0\0\0' * parts + webp[12:]) == (b'', b'')
    items = box(b'meta', bytes(4) + box(b'iloc', b'\2\0\0\0\x04\x40\xff\xff\xff\xff' + bytes(8 * parts)))
    with pytest.raises(ValueError, match='ends early'):
        list(_heif_extents(items))
