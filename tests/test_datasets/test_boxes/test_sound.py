"""An annotation file whose parts do not belong together is refused, and boxes outside of images are counted."""

import pytest
from PIL import Image

from mmlgd.datasets.boxes import BoxesError
from mmlgd.datasets.boxes.sound import boxes_of_names, check_content, left_out


@pytest.fixture
def told(tmp_path):
    for k in range(3):
        Image.new('RGB', (80, 40)).save(tmp_path / f'{k}.jpg')
    return dict(
        images=[dict(id=k, file_name=f'{k}.jpg', width=80, height=40) for k in range(3)],
        annotations=[dict(id=k, image_id=k, category_id=k % 2, bbox=[8, 4, 20, 10]) for k in range(3)],
        categories=[dict(id=0, name='cat'), dict(id=1, name='dog')],
    )


def check(told, folder):
    check_content(told, folder / 'a.json', folder)
    return left_out(told, 'a.json')


def test_a_sound_file_has_no_note(told, tmp_path):
    assert check(told, tmp_path) == [] and boxes_of_names(told) == {'cat': 2, 'dog': 1}


@pytest.mark.parametrize('box', [[100, 4, 20, 10], [8, 4, 0, 10], [8, 4, -20, 10], [-30, 4, 20, 10], [8, 4, 0.9, 10]])
def test_boxes_that_mmdet_leaves_out_are_counted(told, tmp_path, box):
    told['annotations'][1]['bbox'] = box
    (note,) = check(told, tmp_path)
    assert note.startswith('1 of the 3 boxes') and f"{box} in '1.jpg' of 80 x 40 px" in note
    assert boxes_of_names(told) == {'cat': 2, 'dog': 0}


@pytest.mark.parametrize('key', ['iscrowd', 'ignore'])
def test_crowds_are_not_counted(told, tmp_path, key):
    told['annotations'][1][key] = 1
    assert check(told, tmp_path) == [] and boxes_of_names(told) == {'cat': 2, 'dog': 0}


def test_the_size_of_each_image_is_compared(told, tmp_path):
    for k in range(3, 203):
        told['images'].append(dict(id=k, file_name=f'{k}.jpg', width=80, height=40))
        Image.new('RGB', (40, 80) if k == 101 else (80, 40)).save(tmp_path / f'{k}.jpg')
    with pytest.raises(BoxesError, match='80 x 40 px for .*101.jpg, which is loaded as 40 x 80 px'):
        check(told, tmp_path)


@pytest.mark.parametrize(
    'part, change, words',
    [
        ('images', dict(id=0), 'has 2 images with the id 0'),
        ('images', dict(file_name='./0.jpg'), "lists the image '0.jpg' 2 times, with the ids 0, 1"),
        ('images', dict(id='1'), 'images with ids that pycocotools cannot tell apart'),
        ('categories', dict(id=2**63 + 5), 'categories with ids that pycocotools cannot tell apart'),
        ('images', dict(width=0), "no width for the image '1.jpg', but 0. Write its width and height"),
        ('images', dict(height='40'), "no height for the image '1.jpg', but '40'"),
        ('images', dict(height=10**400), "no height for the image '1.jpg', but 1000"),
        ('images', dict(file_name='a' * 5000), "lists the image 'aaa.*, which is not in"),
        ('images', dict(width=40, height=80), 'says 40 x 80 px for .*1.jpg, which is loaded as 80 x 40 px'),
        ('images', dict(file_name='no.jpg'), "lists the image 'no.jpg', which is not in"),
        ('annotations', dict(image_id=9), 'image_id 9 .id 1., and no image of this id'),
        ('annotations', dict(category_id=9), 'category_id 9 .id 1., and no category of this id'),
        ('annotations', dict(bbox=[1, 2, 3]), r'has the bbox \[1, 2, 3\] .id 1.'),
        ('annotations', dict(bbox=[1, 2, 3, float('nan')]), 'has the bbox .*nan'),
        ('annotations', dict(bbox=[1, 2, 3, 10**400]), r'has the bbox \[1, 2, 3, 1000'),
        ('annotations', dict(bbox=[1, 2, 3, True]), 'has the bbox .*True'),
        ('categories', dict(name='cat'), "has 2 categories with the name 'cat'"),
        ('categories', dict(id=0), 'has 2 categories with the id 0'),
    ],
)
def test_what_does_not_belong_together_is_named(told, tmp_path, part, change, words):
    told[part][1].update(change)
    with pytest.raises(BoxesError, match=words):
        check(told, tmp_path)


def test_corners_are_no_widths_and_heights(told, tmp_path):
    for one, box in zip(told['annotations'], ([8, 4, 28, 14], [50, 20, 80, 40], [0, 0, 9, 9])):
        one['bbox'] = box
    with pytest.raises(BoxesError, match=r'\[50, 20, 80, 40\] .*1 of 3 reach beyond .*left, top, right, bottom'):
        check(told, tmp_path)
    told['annotations'][1]['bbox'] = [20, 4, 65, 10]  # a little over the edge
    assert check(told, tmp_path) == []
    told['annotations'][1:] = [dict(one, bbox=[50, 20, 80, 40]) for one in told['annotations'][1:]]
    told['annotations'][2]['bbox'] = [20, 4, 10, 10]  # no corners, as in a set whose boxes reach beyond their images
    assert check(told, tmp_path) == []


def test_an_image_is_as_large_as_it_is_loaded(told, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new('RGB', (40, 80)).save(tmp_path / '1.jpg', exif=exif)
    assert check(told, tmp_path) == []


def test_ids_of_boxes_are_there_and_differ(told, tmp_path):
    told['annotations'][1]['id'] = 0
    with pytest.raises(BoxesError, match='has 2 annotations with the id 0'):
        check(told, tmp_path)
    for one in told['annotations']:
        del one['id']
    with pytest.raises(BoxesError, match='has 3 annotations without an id'):
        check(told, tmp_path)


def test_a_category_without_boxes_and_the_name_of_another_is_shown(told, tmp_path):
    told['categories'].append(dict(id=7, name='cat'))
    with pytest.raises(BoxesError, match="name 'cat': id 0 with 2 boxes, id 7 with 0 boxes. Remove those without"):
        check(told, tmp_path)


@pytest.mark.parametrize(
    'part, change, words',
    [
        ('images', dict(id=[1]), r'has 1 images without an id .*; the first has \[1\]'),
        ('images', dict(id=True), 'has 1 images without an id .*; the first has True'),
        ('annotations', dict(id=10**400), 'has 1 annotations without an id .*; the first has 1000'),
        ('categories', dict(id=float('nan')), 'has 1 categories without an id .*; the first has nan'),
        ('annotations', dict(image_id={}), 'image_id {} .* and no image of this id'),
        ('annotations', dict(category_id=[0]), r'category_id \[0\] .* and no category of this id'),
    ],
)
def test_an_id_of_another_kind_is_no_crash(told, tmp_path, part, change, words):
    told[part][1].update(change)
    with pytest.raises(BoxesError, match=words):
        check(told, tmp_path)
