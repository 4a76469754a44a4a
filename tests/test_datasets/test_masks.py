"""Images and their masks in a folder: their parts, endings, names and the value without a label."""

import numpy as np
import pytest
from PIL import Image

from mmlgd.datasets.masks import MasksError, find_masks
from mmlgd.errors import MissingFileError


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
    assert (found.suffixes, found.size, found.ignore_index, found.listed) == (('.jpg', '.png'), (16, 8), 255, {})
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


@pytest.mark.parametrize(
    'options, error, said',
    [
        (dict(values=(0, 2, 3)), MasksError, 'the values 2, 3 beyond the 2 class names'),
        (dict(mode='RGB'), MasksError, r'is a colour image of shape \(8, 16, 3\)'),
        (dict(masks='other/{}'), MasksError, '20 images, and no image with a mask'),
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
    assert found.counts == dict(train=4, val=5) and found.listed == dict(train=['0', '1', '2', '4'])
    assert found.notes == ['1 images have no mask and are left out; the first is images/train/3.jpg.']


def test_a_mask_of_another_size_than_its_image(tmp_path):
    write(tmp_path)
    Image.new('L', (8, 4)).save(tmp_path / 'annotations/val/2.png')
    with pytest.raises(MasksError, match='2.png has 8 x 4 px, and its image 16 x 8 px'):
        find_masks(tmp_path)
