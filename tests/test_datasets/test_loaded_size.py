"""Sizes from headers are those of the loaded images, with either OpenCV: 4.12 does not turn WEBP, 5 does."""

import io
import struct
import zlib

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmlgd.datasets.loaded_size import loaded_size
from mmlgd.utils.paths import IMAGE_SUFFIXES

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 16, 3), dtype=np.uint8)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6"/></x:xmpmeta>'


def exif_of(orientation):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    return exif


def is_as_loaded(content):
    with Image.open(io.BytesIO(content)) as opened:
        size = loaded_size(opened)
        opened.load()  # still possible
    return size == mmcv.imfrombytes(content).shape[1::-1]


def png(*, before=b'', after=b''):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'PNG')
    content = file.getvalue()
    start, end = content.index(b'IDAT') - 4, content.rindex(b'IEND') - 4
    return content[:start] + before + content[start:end] + after + content[end:]


def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


@pytest.mark.parametrize('orientation', [None, *range(1, 9)])
@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_every_kind_of_image_and_orientation(tmp_path, suffix, orientation):
    file = tmp_path / f'a{suffix}'
    Image.fromarray(PIXELS).convert('L' if suffix == '.pgm' else 'RGB').save(file, exif=exif_of(orientation))
    assert is_as_loaded(file.read_bytes())


def test_exif_data_of_a_png_before_and_behind_its_pixels():
    data = exif_of(6).tobytes()[6:]
    with Image.open(io.BytesIO(png(after=chunk(b'eXIf', data)))) as opened:
        assert loaded_size(opened) == (6, 16)
    for content in (png(before=chunk(b'eXIf', data)), png(after=chunk(b'eXIf', data))):
        assert is_as_loaded(content)


def test_an_orientation_that_opencv_does_not_read():
    text = b'\nexif\n%8d\n%s\n' % (len(exif_of(6).tobytes()), exif_of(6).tobytes().hex().encode())
    assert is_as_loaded(png(before=chunk(b'tEXt', b'Raw profile type exif\0' + text)))
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'JPEG', xmp=XMP)
    assert is_as_loaded(file.getvalue())


@pytest.mark.parametrize('data', [b'', b'Exif\0\0', b'Exif\0\0MM\0*\0\0\0\x08\0\x01', b'nothing of the kind'])
def test_broken_exif_data_turn_nothing(data):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'JPEG', exif=data)
    assert is_as_loaded(file.getvalue()) and is_as_loaded(png(before=chunk(b'eXIf', data)))
