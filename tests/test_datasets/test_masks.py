"""Images and their masks in a folder: their parts, endings, names and the value without a label."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmlgd.datasets.masks import MasksError, find_masks
from mmlgd.datasets.part_lists import PartsError
from mmlgd.errors import MissingFileError
from mmlgd.text import VocabularyError


def write(root, images='images/{}', masks='annotations/{}', parts=('train', 'val'), values=(0, 1), count=5, mode='L'):
    for part in parts:
        for k in range(count):
            for folder, kind, ending in ((images, 'RGB', 'jpg'), (masks, mode, 'png')):
                file = root / folder.format(part) / f'{k}.{ending}'
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.resize(np.array(values, np.uint8), (8, 16))).convert(kind).save(file)
    (root / 'classes.txt').write_text('road\nsky\n')


@pytest.mark.parametrize(
    'layout',
    [
        dict(),
        dict(images='{}/images', masks='{}/masks'),
        dict(images='JPEGImages/{}', masks='SegmentationClass/{}', parts=('train', 'validation')),
        dict(parts=('train', 'test')),
    ],
)
def test_a_layout_is_found(tmp_path, layout):
    write(tmp_path, **layout)
    found = find_masks(tmp_path)
    assert found.names == ['road', 'sky'] and found.counts == dict(train=5, val=5)
    assert (found.suffixes, found.size, found.ignore_index) == (('.jpg', '.png'), (16, 8), 255)
    assert found.listed == dict.fromkeys(('train', 'val'), [str(k) for k in range(5)])
    for part in ('train', 'val'):
        assert (tmp_path / found.images[part] / '0.jpg').is_file()
        assert (tmp_path / found.masks[part] / '0.png').is_file()


def test_parts_are_drawn_by_the_seed(tmp_path):
    write(tmp_path, 'images', 'masks', ('',), count=10)
    drawn = [find_masks(tmp_path, seed=seed).listed for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]['train'] + drawn[0]['val']) == [str(k) for k in range(10)] and len(drawn[0]['val']) == 2


def test_one_value_beyond_the_names_is_no_label(tmp_path):
    write(tmp_path, values=(0, 1, 2))
    assert find_masks(tmp_path).ignore_index == 2
    assert find_masks(tmp_path, ['a', 'b', 'c']).ignore_index == 255


def test_masks_of_a_format_that_is_not_read_are_told(tmp_path):
    write(tmp_path)
    (tmp_path / 'annotations/train/9.gif').touch()
    assert any('leaves out 1 .gif' in note for note in find_masks(tmp_path).notes)
    for file in tmp_path.glob('annotations/*/*.png'):
        file.rename(file.with_suffix('.gif'))
    with pytest.raises(MasksError, match=r'no image with a mask.*leaves out 11 \.gif'):
        find_masks(tmp_path)


@pytest.mark.parametrize(
    'options, error, said',
    [
        (dict(values=(0, 2, 3)), MasksError, 'the values 2, 3 beyond the 2 class names'),
        (dict(values=(0, 255)), MasksError, 'is sky, and 50.0 % have the value 255'),
        (dict(mode='RGB'), MasksError, r'is a colour image of shape \(8, 16, 3\)'),
        (dict(masks='other/{}'), MasksError, '20 images, and no image with a mask.* `mmlgd detect` reads boxes'),
        (dict(parts=('val',)), MasksError, 'no images with masks for train; its parts are val'),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, options, error, said):
    write(tmp_path, **options)
    with pytest.raises(error, match=said):
        find_masks(tmp_path)


def test_names_and_folder_must_be_there(tmp_path):
    write(tmp_path)
    (tmp_path / 'classes.txt').unlink()
    with pytest.raises(MissingFileError, match='Masks are numbers, and .* has none of classes.txt.*--names FILE'):
        find_masks(tmp_path)
    with pytest.raises(MissingFileError, match='no folder of data'):
        find_masks(tmp_path / 'none')


def test_a_part_for_training_alone_is_divided(tmp_path):
    write(tmp_path, parts=('train',), count=10)
    found = find_masks(tmp_path)
    assert found.is_split and found.counts == dict(train=8, val=2) and found.images['val'] == 'images/train'
    assert sorted(found.listed['train'] + found.listed['val']) == [str(k) for k in range(10)]


def test_images_without_a_mask_are_left_out_and_counted(tmp_path):
    write(tmp_path)
    (tmp_path / 'annotations/train/3.png').unlink()
    found = find_masks(tmp_path)
    assert found.counts == dict(train=4, val=5) and found.listed['train'] == ['0', '1', '2', '4']
    assert found.notes[1:] == ['1 images have no mask and are left out; the first is images/train/3.jpg.']


def test_a_mask_of_another_size_than_its_image(tmp_path):
    write(tmp_path)
    Image.new('L', (8, 4)).save(tmp_path / 'annotations/val/2.png')
    with pytest.raises(MasksError, match='2.png has 8 x 4 px, and its image 16 x 8 px'):
        find_masks(tmp_path)


def test_values_that_are_no_bytes_are_refused(tmp_path):
    write(tmp_path)
    Image.fromarray(np.full((8, 16), 65535, np.uint16)).save(tmp_path / 'annotations/val/2.png')
    with pytest.raises(MasksError, match='2.png has the values 65535, .* as bytes: expected 0 to 255'):
        find_masks(tmp_path)
    Image.fromarray(np.full((8, 16), 1, np.uint16)).save(tmp_path / 'annotations/val/2.png')
    assert find_masks(tmp_path).ignore_index == 255


def test_an_image_has_one_mask(tmp_path):
    write(tmp_path)
    write(tmp_path, images='images/{}', masks='SegmentationClass/{}', parts=('val',), count=1)
    with pytest.raises(MasksError, match='images/val/0.jpg has 2 masks: SegmentationClass/val/0.png, annotations/val'):
        find_masks(tmp_path)


def test_values_from_1_are_read_as_stated(tmp_path):
    write(tmp_path, values=(0, 1, 2, 255))
    with pytest.raises(MasksError, match='reduce_zero_label=True'):
        find_masks(tmp_path)
    assert find_masks(tmp_path, reduce_zero_label=True).ignore_index == 255


@pytest.mark.parametrize('above', ['.', 'VOC2007'])
def test_lists_name_the_parts(tmp_path, above):
    root, home = tmp_path / above, Path(above, 'JPEGImages')
    write(root, 'JPEGImages', 'SegmentationClass', ('',), count=6)
    write(root, 'SegmentationObject', 'other', ('',), count=6)  # VOC's masks of objects; not read
    (root / 'JPEGImages/3.jpg').with_name('7.jpg').write_bytes((root / 'JPEGImages/3.jpg').read_bytes())
    lists = root / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('0\n2\n4\n')
    (lists / 'val.txt').write_text('1\n5\n')
    found = find_masks(tmp_path, ['road', 'sky'])
    assert not found.is_split and found.listed == dict(train=['0', '2', '4'], val=['1', '5'])
    assert found.notes[1:] == [
        f'1 images are in no list or folder of a part, and are left out; the first is {home / "3.jpg"}.',
        f'1 images have no mask and are left out; the first is {home / "7.jpg"}.',
    ]
    (lists / 'val.txt').rename(lists / 'test.txt')
    assert find_masks(tmp_path, ['road', 'sky']).listed['val'] == ['1', '5']
    (lists / 'test.txt').unlink()
    drawn = find_masks(tmp_path, ['road', 'sky'])
    assert drawn.is_split and sorted(drawn.listed['train'] + drawn.listed['val']) == ['0', '2', '4']
    (lists / 'train.txt').write_text('0\n9\n')
    with pytest.raises(PartsError, match="1 of 2 lines of .*train.txt name no image .*'9'"):
        find_masks(tmp_path, ['road', 'sky'])


def test_a_part_without_a_list_is_a_folder(tmp_path):
    write(tmp_path)
    (tmp_path / 'train.txt').write_text('images/train/0.jpg annotations/train/0.png\nimages/train/3.jpg\n')
    found = find_masks(tmp_path)
    assert found.listed['train'] == ['0', '3'] and found.counts == dict(train=2, val=5)


@pytest.mark.parametrize('name', [' 0', '0 ', 'a\nb', os.fsdecode(b'\xff')])
def test_a_name_that_no_list_can_have(tmp_path, name):
    write(tmp_path, 'images', 'masks', ('',))
    for file in (tmp_path / 'images/0.jpg', tmp_path / 'masks/0.png'):
        file.rename(file.with_name(name + file.suffix))
    with pytest.raises(MasksError, match='a blank at its beginning or end, a new line or a character that'):
        find_masks(tmp_path)


def test_images_in_both_parts_are_told(tmp_path):
    write(tmp_path, 'images', 'masks', ('',), count=6)
    (tmp_path / 'train.txt').write_text('0\n1\n2\n3\n')
    (tmp_path / 'val.txt').write_text('3\n4\n5\n')
    assert find_masks(tmp_path).notes[-1].startswith('1 of the 3 images to validate are among those to train')


def test_a_jpeg_file_is_no_mask(tmp_path):
    write(tmp_path)
    for file in tmp_path.glob('annotations/*/*.png'):
        Image.open(file).save(file.with_suffix('.jpg'))
        file.unlink()
    with pytest.raises(MasksError, match='is a JPEG file, which changes values near edges'):
        find_masks(tmp_path)


def test_a_line_of_names_is_never_left_out(tmp_path):
    write(tmp_path, values=(0, 1, 2))
    (tmp_path / 'classes.txt').write_text('\ufeffroad\r\nsky\r\n\r\n')
    assert find_masks(tmp_path).names == ['road', 'sky']
    (tmp_path / 'classes.txt').write_text('road\n\nsky\n')
    with pytest.raises(VocabularyError, match='Line 2 of .*classes.txt is empty'):
        find_masks(tmp_path)
