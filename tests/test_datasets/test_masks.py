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
    assert (found.suffixes, found.size, found.ignore_index, found.drawn) == (('.jpg', '.png'), (16, 8), 255, {})
    for part in ('train', 'val'):
        assert (tmp_path / found.images[part] / '0.jpg').is_file()
        assert (tmp_path / found.masks[part] / '0.png').is_file()


def test_parts_are_drawn_by_the_seed(tmp_path):
    write(tmp_path, 'images', 'masks', ('',), count=10)
    drawn = [find_masks(tmp_path, seed=seed).drawn for seed in (0, 0, 1)]
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
