"""The lists of a data set are followed, wherever its images lie now; a list that cannot be followed is refused."""

from pathlib import PurePath

import pytest

from mmlgd.datasets.part_lists import PartsError, listed_parts

IMAGES = [PurePath(f'JPEGImages/{name}.jpg') for name in 'abcd']


def write(root, **lists):
    root.mkdir(parents=True, exist_ok=True)
    for part, text in lists.items():
        (root / f'{part}.txt').write_text(text)


def names(parts):
    return {part: ''.join(image.stem for image in images) for part, images in parts.items()}


@pytest.mark.parametrize(
    'lists, parts',
    [
        (dict(train='a\nb\n', val='c'), dict(train='ab', val='c')),
        (dict(train='a\nb\n', val='c', trainval='a\nb\nc', test='lost'), dict(train='ab', val='c')),
        (dict(train='a\nb\n', test='d'), dict(train='ab', test='d')),
        (dict(trainval='a\nb\n', test='d'), dict(train='ab', test='d')),
        (dict(trainval='a\nb\n', val='b'), dict(train='a', val='b')),
        (dict(trainval='a\nb\n', train='b', test='d'), dict(train='b', val='a')),
        (dict(train='a\nb\n'), dict(train='ab')),
        (dict(train='a\nb\n', val='\n'), dict(train='ab')),
        (dict(cat_train='a 1\nb -1\n'), {}),
    ],
)
def test_the_parts_are_those_of_the_lists(tmp_path, lists, parts):
    write(tmp_path / 'ImageSets/Main', **lists)
    assert names(listed_parts(tmp_path, IMAGES, 'Main')) == parts
    assert listed_parts(tmp_path, IMAGES, 'Segmentation') == {}


def test_lists_may_lie_in_no_folder_of_a_kind(tmp_path):
    write(tmp_path / 'ImageSets', train='a', val='b')
    assert names(listed_parts(tmp_path, IMAGES, 'Main')) == dict(train='a', val='b')


def test_lists_lie_beside_their_images_in_a_folder_of_several_sets(tmp_path):
    images = [PurePath(year) / image for year in ('VOC2007', 'VOC2012') for image in IMAGES]
    write(tmp_path / 'VOC2007/ImageSets/Main', trainval='a', test='lost')
    write(tmp_path / 'VOC2012/ImageSets/Main', train='b', val='c')
    parts = listed_parts(tmp_path, images, 'Main')
    assert parts['train'] == [PurePath('VOC2007/JPEGImages/a.jpg'), PurePath('VOC2012/JPEGImages/b.jpg')]
    assert parts['val'] == [PurePath('VOC2012/JPEGImages/c.jpg')] and 'test' not in parts


@pytest.mark.parametrize(
    'line',
    [
        'b',
        'b.jpg',
        './JPEGImages/b.jpg',
        '/home/me/set/JPEGImages/b.jpg',
        r'C:\set\b.jpg',
        'JPEGImages/b.jpg masks/b.png',
    ],
)
def test_a_path_of_another_machine_is_followed(tmp_path, line):
    write(tmp_path, train='a.jpg', valid=f'\ufeff{line}\r\n')
    images = [*IMAGES, PurePath('a b/JPEGImages/c.jpg')]
    assert names(listed_parts(tmp_path, images, 'Main')) == dict(train='a', val='b')


def test_a_text_beside_an_image_of_its_name_is_no_list(tmp_path):
    write(tmp_path, train='0 .5 .5 .1 .1', val='a')
    assert names(listed_parts(tmp_path, [*IMAGES, PurePath('train.jpg')], 'Main')) == dict(val='a')


def test_a_list_that_cannot_be_followed_is_refused(tmp_path):
    write(tmp_path, train='a\nlost/x.jpg\ny')
    with pytest.raises(PartsError, match=r"2 of 3 lines of .*train\.txt name no image .* first is 'lost/x\.jpg'"):
        listed_parts(tmp_path, IMAGES, 'Main')
    write(tmp_path, train='a')
    with pytest.raises(PartsError, match=r"1 of 1 lines .* or several; the first is 'a'"):
        listed_parts(tmp_path, [*IMAGES, PurePath('more/a.jpg')], 'Main')
    write(tmp_path, val='b', valid='c')
    with pytest.raises(PartsError, match=r'val\.txt and .*valid\.txt are lists of one part'):
        listed_parts(tmp_path, IMAGES, 'Main')
    (tmp_path / 'valid.txt').unlink()
    (tmp_path / 'val.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(PartsError, match='is no list of images: .*UTF-8'):
        listed_parts(tmp_path, IMAGES, 'Main')
