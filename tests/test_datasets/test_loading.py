"""Files of each kind, made for real: a bad one is refused by path and reason, an unusual one looks as it should."""

import errno
import json
import os
import resource
import struct
import zlib
from pathlib import Path

import mmcv
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmcv.transforms import LoadImageFromFile as Theirs
from mmengine.dataset import BaseDataset
from PIL import Image, ImageChops

from mmlgd.datasets import BadImageError, LoadImageFromFile, TooManyBadImagesError
from mmlgd.datasets.loading import MAX_PIXELS, decode
from mmlgd.errors import ConfigError
from tests.bad_images import bad_files, encode, photo, unusual_files

REASONS = {
    'zero-byte': r'empty \(0 bytes\)',
    'cut-off': 'cut off|damaged|not a readable image',
    'half-downloaded': 'cut off',
    'corrupt.': 'damaged',
    'corrupt-header': 'not a readable image',
    'text': "not a readable image .it begins with b'not an image at",
    'page': "begins with b'<!DOCTYPE html><'",
    'postscript': 'not a readable image',
    'twelve': '16 bits a channel but uses only the lowest',
    'invisible': 'transparent',
    'floats': 'float32 from 0 to 1',
}


def load(path):
    return LoadImageFromFile()(dict(img_path=str(path)))['img']


@pytest.mark.parametrize('name', bad_files())
def test_a_bad_image_is_refused_by_path_and_reason(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(bad_files()[name])
    reason = next(text for start, text in REASONS.items() if name.startswith(start))
    with pytest.raises(BadImageError, match=reason) as caught:
        load(path)
    assert str(path) in str(caught.value) and "bad_images='skip'" in str(caught.value)
    assert caught.value.path == str(path) and str(path) not in caught.value.reason


@pytest.mark.parametrize('name', unusual_files())
def test_an_unusual_image_looks_as_it_is_meant_to(name, tmp_path):
    content, expected = unusual_files()[name]
    (tmp_path / name).write_bytes(content)
    found = load(tmp_path / name)
    if isinstance(expected, Image.Image):
        expected = np.asarray(expected.convert('RGB'))
    assert found.dtype == np.uint8 and found.shape == expected.shape and found.flags.c_contiguous
    difference = np.abs(found[..., ::-1].astype(int) - expected)
    assert difference.mean() < (4 if content.startswith(b'\xff\xd8') else 1)  # JPEG is lossy; rounding


def test_a_cmyk_file_without_adobes_marker_is_not_inverted():
    """Its values are not inverted, and OpenCV takes them for inverted ones."""
    rgb = photo()
    adobe = encode(ImageChops.invert(Image.fromarray(rgb).convert('CMYK')), 'JPEG', quality=95)
    at = adobe.index(b'Adobe') - 4
    plain = adobe[:at] + adobe[at + 2 + int.from_bytes(adobe[at + 2 : at + 4], 'big') :]
    assert b'Adobe' not in plain
    assert np.abs(decode(plain)[..., ::-1].astype(int) - rgb).mean() < 4


@pytest.mark.parametrize('name', ['plain.jpg', 'grey.jpg', 'progressive.jpg', 'turned.jpg', 'plain.png', 'plain.bmp'])
def test_an_ordinary_image_has_mmcvs_pixels(name, tmp_path):
    (tmp_path / name).write_bytes(unusual_files()[name][0])
    theirs = Theirs()(dict(img_path=str(tmp_path / name)))
    ours = LoadImageFromFile()(dict(img_path=str(tmp_path / name)))
    assert np.array_equal(ours['img'], theirs['img'])
    assert ours.keys() == theirs.keys() and ours['ori_shape'] == ours['img_shape'] == theirs['img_shape']


@given(st.data())
def test_a_jpeg_that_is_cut_off_anywhere_is_refused(data):
    """With every number of bytes, whatever the encoding; the whole file is an image."""
    options = data.draw(st.sampled_from([dict(), dict(progressive=True), dict(optimize=True), dict(subsampling=0)]))
    image = photo(data.draw(st.integers(0, 3)))
    content = encode(image[..., 0] if data.draw(st.booleans()) else image, 'JPEG', **options)
    decode(content)
    with pytest.raises(BadImageError):
        decode(content[: data.draw(st.integers(0, len(content) - 1))])


@given(st.sampled_from(['plain.png', 'palette.png', 'transparent.png', 'sixteen-bits.png']), st.data())
def test_a_png_with_a_flipped_bit_has_its_pixels_or_is_refused(name, data):
    content = bytearray(unusual_files()[name][0])
    expected = decode(bytes(content))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decode(bytes(content))
    except BadImageError:
        return
    assert np.array_equal(found, expected)


@given(content=st.binary(max_size=200), start=st.sampled_from([b'', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'P6 ']))
def test_any_bytes_are_an_image_or_refused(content, start):
    try:
        image = decode(start + content)
    except BadImageError:
        return
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8


def bomb(side):
    """A PNG of side x side white pixels, in a file of some thousand bytes."""

    def chunk(kind, body):
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))

    packed = zlib.compressobj(9)
    row = b'\0' + b'\xff' * (side // 8)
    body = b''.join(packed.compress(row) for _ in range(side)) + packed.flush()
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', body) + chunk(b'IEND', b'')


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / 'huge.png').write_bytes(bomb(16_384))  # 35 kB; as an image 805 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadImageError, match=f'16384 x 16384 pixels; more than max_pixels={MAX_PIXELS}'):
        load(tmp_path / 'huge.png')
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_the_limit_of_pixels_is_an_option_and_leaves_pillows_alone(tmp_path):
    pillows = Image.MAX_IMAGE_PIXELS
    for name in ('plain.jpg', 'plain.png', 'plain.webp'):
        (tmp_path / name).write_bytes(unusual_files()[name][0])
        with pytest.raises(BadImageError, match='48 x 40 pixels; more than max_pixels=1919'):
            LoadImageFromFile(max_pixels=40 * 48 - 1)(dict(img_path=str(tmp_path / name)))
        assert LoadImageFromFile(max_pixels=40 * 48)(dict(img_path=str(tmp_path / name)))['img'].shape == (40, 48, 3)
    assert Image.MAX_IMAGE_PIXELS == pillows
    # A JPEG that claims to be huge, as a broken header does.
    content = bytearray(unusual_files()['plain.jpg'][0])
    frame = content.index(b'\xff\xc0')
    content[frame + 5 : frame + 9] = b'\xff\xff\xff\xff'
    with pytest.raises(BadImageError, match='65535 x 65535'):
        decode(bytes(content))


def test_paths_that_are_not_files_are_bad_images(tmp_path):
    (tmp_path / 'folder.jpg').mkdir()
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    (tmp_path / 'file').write_bytes(b'')
    for name in ('folder.jpg', 'missing.jpg', 'loop.jpg', 'file/below.jpg'):
        with pytest.raises(BadImageError, match=f'{name} cannot be used: it cannot be read'):
            load(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may read everything')
def test_a_file_that_may_not_be_read_is_bad(tmp_path):
    (tmp_path / 'secret.png').write_bytes(encode(photo(), 'PNG'))
    (tmp_path / 'secret.png').chmod(0)
    with pytest.raises(BadImageError, match='Permission denied'):
        load(tmp_path / 'secret.png')


def labelled(folder, tmp_path, test_mode=False, **settings):
    """A data set of mmengine, as mmdet's and mmseg's are, of all files in a folder."""
    images = [dict(img_path=path.name) for path in sorted(folder.iterdir())]
    (tmp_path / 'images.json').write_text(json.dumps(dict(metainfo={}, data_list=images)))
    load = dict(type='mmlgd.LoadImageFromFile', like_mmcv=True, **settings)
    prefix = dict(img_path=str(folder))
    return BaseDataset(str(tmp_path / 'images.json'), data_prefix=prefix, pipeline=[load], test_mode=test_mode)


@pytest.fixture
def mixed(tmp_path):
    """Two good images and three bad ones."""
    (tmp_path / 'mixed').mkdir()
    for name in ('zero-byte.jpg', 'text.jpg', 'half-downloaded.jpg'):
        (tmp_path / 'mixed' / name).write_bytes(bad_files()[name])
    for name in ('good-1.png', 'good-2.png'):
        (tmp_path / 'mixed' / name).write_bytes(encode(photo(), 'PNG'))
    return tmp_path / 'mixed'


def test_labelled_images_that_are_bad_are_left_out_and_named_once(mixed, tmp_path, log):
    dataset = labelled(mixed, tmp_path, bad_images='skip', max_bad_images=3)
    for _ in range(3):
        drawn = {Path(dataset[k]['img_path']).name for k in range(5)}
        assert drawn <= {'good-1.png', 'good-2.png'}
    told = [line for line in log.messages if 'Bad image left out' in line]
    assert len(told) == 3 and any('zero-byte.jpg: it is empty' in line for line in told)


def test_each_process_of_several_names_its_own_images(mixed, tmp_path, log, monkeypatch):
    monkeypatch.setattr('mmlgd.datasets.loading.is_main_process', lambda: False)
    dataset = labelled(mixed, tmp_path, bad_images='skip')
    [dataset[k] for k in range(5)]
    told = [record for record in log.records if 'Bad image left out' in record.msg]
    assert [record.levelname for record in told] == ['ERROR'] * 3  # mmengine shows nothing less of the others


def test_more_bad_labelled_images_than_allowed_stop_the_run(mixed, tmp_path):
    dataset = labelled(mixed, tmp_path, bad_images='skip', max_bad_images=2)
    with pytest.raises(TooManyBadImagesError, match='3 images are bad so far, and at most 2'):
        for k in range(5):
            dataset[k]


def test_labelled_images_stop_a_run_by_default_and_an_evaluation_always(mixed, tmp_path):
    bad = sorted(path.name for path in mixed.iterdir()).index('text.jpg')
    with pytest.raises(BadImageError, match='text.jpg'):
        labelled(mixed, tmp_path)[bad]
    with pytest.raises(Exception, match='Test time pipline should not get `None`'):
        labelled(mixed, tmp_path, test_mode=True, bad_images='skip')[bad]


@pytest.mark.parametrize(
    'settings',
    [dict(bad_images='ignore'), dict(max_bad_images=0.1), dict(max_bad_images='5'), dict(max_bad_images=float('inf'))],
)
def test_an_unknown_policy_of_the_transform_is_refused(settings):
    with pytest.raises(ConfigError, match='bad_images is'):
        LoadImageFromFile(**settings)


def test_errors_of_the_machine_are_not_bad_images(tmp_path):
    """Too many open files: every image would seem bad, and none is."""
    (tmp_path / 'plain.png').write_bytes(encode(photo(), 'PNG'))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 200), limits[1]))
        with pytest.raises(OSError) as caught:
            while len(held) < 1000:
                held.append(open(os.devnull))  # noqa: SIM115
        with pytest.raises(OSError) as caught:
            load(tmp_path / 'plain.png')
        assert caught.value.errno == errno.EMFILE and not isinstance(caught.value, BadImageError)
    finally:
        for file in held:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_an_image_that_is_there_already_is_passed_on():
    """As mmpretrain's inferencers do, which look for mmcv's transform by its bare name."""
    results = dict(img=np.zeros((4, 5, 3), np.uint8), img_shape=(4, 5))
    assert LoadImageFromFile()(results)['img'].shape == (4, 5, 3)


@pytest.mark.parametrize('name', sorted(unusual_files()))
def test_beside_an_evaluation_with_mmcv_every_file_has_its_pixels(name, tmp_path):
    (tmp_path / name).write_bytes(unusual_files()[name][0])
    theirs = mmcv.imread(str(tmp_path / name))
    ours = LoadImageFromFile(like_mmcv=True)(dict(img_path=str(tmp_path / name)))['img']
    assert theirs is None or np.array_equal(ours, theirs)
