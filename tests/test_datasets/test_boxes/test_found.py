"""Boxes of three formats are the same boxes, with parts for training and validation."""

import json
from xml.etree import ElementTree as ET

import pytest
import yaml
from PIL import Image

from mmlgd.datasets.boxes import BoxesError, find_boxes
from mmlgd.datasets.part_lists import PartsError
from mmlgd.errors import MissingFileError
from mmlgd.text import VocabularyError
from mmlgd.utils.files import SMALL

NAMES = ['red panda', 'cat']
SIZE = (80, 40)
BOX = (8.0, 4.0, 20.0, 10.0)  # left, top, width, height


def image(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', SIZE).save(file)


def coco(root, count=10):
    for part in ('train', 'val'):
        for k in range(count):
            image(root / part / f'{k}.jpg')
        told = dict(
            images=[dict(id=k, file_name=f'{k}.jpg', width=80, height=40) for k in range(count)],
            annotations=[
                dict(id=k + 1, image_id=k, category_id=k % 2 + 1, bbox=list(BOX), area=200, iscrowd=0)
                for k in range(count)
            ],
            categories=[dict(id=k, name=name) for k, name in enumerate(NAMES, start=1)],
        )
        file = root / 'annotations' / f'instances_{part}.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(told))


def voc(root, count=10):
    (root / 'Annotations').mkdir(parents=True)
    for k in range(count):
        image(root / 'JPEGImages' / f'{k}.png')
        told = ET.Element('annotation')
        one = ET.SubElement(told, 'object')
        ET.SubElement(one, 'name').text = NAMES[k % 2]
        corners = ET.SubElement(one, 'bndbox')
        x, y, w, h = BOX
        for edge, value in (('xmin', x + 1), ('ymin', y + 1), ('xmax', x + w + 1), ('ymax', y + h + 1)):
            ET.SubElement(corners, edge).text = str(value)
        ET.ElementTree(told).write(root / 'Annotations' / f'{k}.xml')


def voc_with_lists(root):
    voc(root)
    (root / 'ImageSets/Main').mkdir(parents=True)
    (root / 'ImageSets/Main/train.txt').write_text('\n'.join(map(str, range(8))))
    (root / 'ImageSets/Main/val.txt').write_text('8\n9\n')


def change_coco(root, part='train', **changes):
    """Change a field of the annotations of a part, by a function of its annotation, or remove it by None."""
    file = root / f'annotations/instances_{part}.json'
    told = json.loads(file.read_text())
    for one in told['annotations']:
        for key, change in changes.items():
            one.pop(key, None) if change is None else one.update({key: change(one)})
    file.write_text(json.dumps(told))


def corners(root, *values, size=None):
    """Give the first image of VOC's format other corners, and a size."""
    tree = ET.parse(root / 'Annotations/0.xml')
    for edge, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), values):
        tree.getroot().find(f'object/bndbox/{edge}').text = str(value)
    if size is not None:
        its = ET.SubElement(tree.getroot(), 'size')
        for side, value in zip(('width', 'height'), size):
            ET.SubElement(its, side).text = str(value)
    tree.write(root / 'Annotations/0.xml')


def declare(root, encoding):
    file = root / 'Annotations/0.xml'
    file.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{file.read_text()}')


def of_image(told, name):
    (number,) = (one['id'] for one in told['images'] if one['file_name'].endswith(name))
    return [one for one in told['annotations'] if one['image_id'] == number]


def an_url_in_place_of_a_name(root):
    file = root / 'annotations/instances_train.json'
    told = json.loads(file.read_text())
    told['images'][3]['coco_url'] = f'http://images/train/{told["images"][3].pop("file_name")}'
    file.write_text(json.dumps(told))


def add_mark(file):
    file.write_bytes(b'\xef\xbb\xbf' + file.read_bytes())


def spoil_rows(file):
    file.write_text(json.dumps(dict(json.loads(file.read_text()), annotations={})))


def yolo(root, part='valid'):
    x, y, w, h = BOX
    for split in ('train', part):
        for k in range(10):
            image(root / split / 'images' / f'{k}.jpg')
            (root / split / 'labels').mkdir(exist_ok=True)
            line = f'{k % 2} {(x + w / 2) / 80} {(y + h / 2) / 40} {w / 80} {h / 40}\n'
            (root / split / 'labels' / f'{k}.txt').write_text(line)
    (root / 'data.yaml').write_text("train: ../train/images\nnc: 2\nnames: ['red panda', 'cat']\n")


@pytest.mark.parametrize(
    'write, kind, counts, is_split',
    [
        (coco, 'COCO', (10, 10), False),
        (voc, 'VOC', (8, 2), True),
        (voc_with_lists, 'VOC', (8, 2), False),
        (yolo, 'YOLO', (10, 10), False),
    ],
)
def test_a_format_is_found_and_its_boxes_are_the_same(tmp_path, write, kind, counts, is_split):
    write(tmp_path)
    found = find_boxes(tmp_path)
    assert (found.kind, found.is_split, sorted(found.names)) == (kind, is_split, sorted(NAMES))
    for part, count in zip(('train', 'val'), counts):
        told = found.parts[part]
        assert len(told['images']) == count
        for one in told['annotations']:
            assert one['bbox'] == pytest.approx(BOX)
            (its,) = (i for i in told['images'] if i['id'] == one['image_id'])
            number = int(its['file_name'].split('/')[-1].split('.')[0])
            assert its['width'] == 80 and (tmp_path / found.folders.get(part, '') / its['file_name']).is_file()
            assert found.names[one['category_id'] - 1] == NAMES[number % 2]
    assert set(found.files) == ({'train', 'val'} if kind == 'COCO' else set())


def test_a_split_is_drawn_by_its_seed(tmp_path):
    voc(tmp_path)
    drawn = [[i['file_name'] for i in find_boxes(tmp_path, seed=s).parts['val']['images']] for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 2


def test_an_outline_becomes_the_box_around_it_and_an_image_may_have_none(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'train/labels/0.txt').write_text('1 0.1 0.1 0.35 0.1 0.35 0.35 0.1 0.35\n')
    (tmp_path / 'train/labels/1.txt').rename(tmp_path / 'train/labels/1.jpg.txt')
    found = find_boxes(tmp_path)
    told = found.parts['train']
    assert found.notes == [
        '1 of 20 images have no file of labels, and count as images without objects; the first is train/images/1.jpg.',
        '1 files of labels belong to no image, and are left out; the first is train/labels/1.jpg.txt.',
    ]
    (box,) = (one['bbox'] for one in told['annotations'] if one['image_id'] == 1)
    assert box == pytest.approx([8, 4, 20, 10]) and len(told['images']) == 10 and len(told['annotations']) == 9


def test_a_test_part_takes_the_place_of_a_missing_validation_part(tmp_path):
    yolo(tmp_path, part='test')
    assert len(find_boxes(tmp_path).parts['val']['images']) == 10


@pytest.mark.parametrize(
    'write, spoil, said',
    [
        (yolo, lambda r: (r / 'data.yaml').unlink(), 'labels in .* are numbers, .*--names FILE'),
        (yolo, lambda r: (r / 'train/labels/0.txt').write_text('5 .5 .5 .1 .1'), r'line 1 of .*0\.txt has the label 5'),
        (yolo, lambda r: (r / 'train/labels/0.txt').write_text('0 .5 .5'), '2 numbers after the label; expected 4'),
        (yolo, lambda r: (r / 'train/labels/0.txt').write_text('0 40 20 9 9'), 'shares of the image from 0 to 1'),
        (yolo, lambda r: (r / 'train/images/0.jpg').write_bytes(b'no'), r'The image .*0\.jpg cannot be read'),
        (voc, lambda r: (r / 'JPEGImages/0.png').unlink(), r'There is no image for Annotations/0\.xml'),
        (voc, lambda r: (r / 'Annotations/0.xml').write_text('<annotation><object>'), r'0\.xml cannot be read as XML'),
        (voc, lambda r: declare(r, 'gb2312'), r'0\.xml cannot be read as XML: multi-byte.*Save it in UTF-8'),
        (voc, lambda r: declare(r, 'none'), r'0\.xml cannot be read as XML: unknown encoding'),
        (coco, lambda r: (r / 'annotations/instances_val.json').write_text('{'), 'is no JSON'),
        (coco, lambda r: (r / 'annotations/instances_val.json').write_text(f'[1{"0" * 5000}]'), '4300 digits'),
        (coco, lambda r: [f.unlink() for f in (r / 'val').iterdir()], 'is in none of its usual folders'),
        (coco, lambda r: add_mark(r / 'annotations/instances_val.json'), 'without a byte order mark'),
        (coco, lambda r: spoil_rows(r / 'annotations/instances_val.json'), 'its annotations are no list of objects'),
        (yolo, lambda r: (r / 'train/labels/0.txt').write_text('0 nan .5 .1 .1'), "'nan' is no place"),
        (yolo, lambda r: (r / 'train/labels/0.txt').write_bytes(b'\xff'), r'0\.txt is no text'),
        (yolo, lambda r: (r / 'data.yaml').write_text('names: [cat, cat]'), "holds 'cat' twice"),
        (yolo, lambda r: (r / 'data.yaml').write_text('names: {.inf: cat}'), 'labels that are no numbers'),
        (yolo, lambda r: (r / 'data.yaml').write_text('names: [[a], b]'), r'\[.a.\] is no text. Quote it'),
        (voc, lambda r: corners(r, 1, 1, 'inf', 9), 'a box without numbers'),
        (coco, an_url_in_place_of_a_name, r'no file_name for 1 of 10 images.*LVIS'),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, write, spoil, said):
    write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BoxesError, match=said):
        find_boxes(tmp_path)


def test_names_that_the_data_do_not_have(tmp_path):
    coco(tmp_path / 'coco')
    with pytest.raises(BoxesError, match='names given are cat, dog, but .* has the categories red panda, cat'):
        find_boxes(tmp_path / 'coco', ['cat', 'dog'])
    voc(tmp_path / 'voc')
    with pytest.raises(BoxesError, match='names that are not among the class names: red panda'):
        find_boxes(tmp_path / 'voc', ['cat', 'dog'])


def test_masks_are_no_boxes(tmp_path):
    image(tmp_path / 'images/a.jpg')
    image(tmp_path / 'annotations/a.png')
    (tmp_path / 'classes.txt').write_text('sky\nroad\n')
    with pytest.raises(BoxesError, match='no boxes that can be read.* `mmlgd segment` reads masks'):
        find_boxes(tmp_path)


def test_a_folder_without_boxes(tmp_path):
    image(tmp_path / 'a.jpg')
    with pytest.raises(BoxesError, match='has 1 images, and no boxes that can be read'):
        find_boxes(tmp_path)
    with pytest.raises(MissingFileError, match='no folder of data'):
        find_boxes(tmp_path / 'none')


@pytest.mark.parametrize(
    'changes, said',
    [
        (dict(id=lambda one: one['id'] - 1), '1 annotations have an id of 0'),
        (dict(id=lambda one: f'a{one["id"]}'), '10 annotations have an id of 0 or no whole number'),
        (dict(iscrowd=None), '10 annotations have no iscrowd'),
        (dict(area=None), '10 annotations have no area'),
        (dict(area=lambda one: 0), '10 annotations have an area of 0'),
    ],
)
def test_a_coco_file_that_lacks_something_is_completed_in_a_copy(tmp_path, changes, said):
    coco(tmp_path)
    whole = find_boxes(tmp_path)
    change_coco(tmp_path, **changes)
    found = find_boxes(tmp_path)
    (note,) = found.notes
    assert said in note and 'instances_train.json is copied into the work dir' in note
    assert found.files == {'val': 'annotations/instances_val.json'} and found.parts == whole.parts
    assert found.folders == whole.folders


def test_an_area_of_an_outline_stays_and_its_box_is_left_out(tmp_path):
    coco(tmp_path)
    change_coco(tmp_path, area=lambda one: one['id'] - 1, segmentation=lambda one: [[1, 1, 2, 2, 3, 3]])
    found = find_boxes(tmp_path)
    assert set(found.files) == {'train', 'val'} and '1 of the 10 boxes' in found.notes[0]
    change_coco(tmp_path, area=lambda one: 0)
    with pytest.raises(BoxesError, match='train part of .* has 10 images and no box that counts'):
        find_boxes(tmp_path)


def test_what_iscrowd_may_be(tmp_path):
    coco(tmp_path)
    change_coco(tmp_path, iscrowd=lambda one: '0')
    with pytest.raises(BoxesError, match=r"iscrowd='0' .id 1.. Expected 0 or 1"):
        find_boxes(tmp_path)


def test_boxes_below_a_pixel_are_left_out(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'train/labels/0.txt').write_text('0 .5 .5 .01 .5\n0 .5 .5 .02 .5\n')  # 0.8 and 1.6 of 80 px
    found = find_boxes(tmp_path)
    assert found.notes == ['1 boxes are narrower than 1 px or outside their image, and are left out.']
    assert len(found.parts['train']['annotations']) == 10


@pytest.mark.parametrize(
    'values, box, said',
    [((1, 1, 81, 41), [0, 0, 80, 40], 'No box begins at 0'), ((0, 0, 80, 40), [0, 0, 80, 40], '0.xml begins at 0')],
)
def test_pixels_count_from_1_or_from_0(tmp_path, values, box, said):
    voc(tmp_path)
    corners(tmp_path, *values)
    found = find_boxes(tmp_path)
    told = next(told for told in found.parts.values() if any('/0.png' in one['file_name'] for one in told['images']))
    assert of_image(told, '/0.png')[0]['bbox'] == box and said in found.notes[0]


def test_the_size_in_a_file_is_that_of_its_image(tmp_path):
    voc(tmp_path)
    corners(tmp_path, size=SIZE)
    find_boxes(tmp_path)
    voc(tmp_path / 'zero')
    corners(tmp_path / 'zero', size=(0, 0))
    find_boxes(tmp_path / 'zero')
    for size, said in (
        ((640, 480), '0.xml says 640 x 480 px for .*0.png, which is loaded as 80'),
        (('a', 1), 'a size'),
    ):
        voc(tmp_path / str(size[0]))
        corners(tmp_path / str(size[0]), size=size)
        with pytest.raises(BoxesError, match=said):
            find_boxes(tmp_path / str(size[0]))


def names_in(found):
    return {part: sorted(one['file_name'] for one in told['images']) for part, told in found.parts.items()}


def test_lists_of_voc_are_followed_in_any_folder(tmp_path):
    voc_with_lists(tmp_path / 'VOC2007')
    lists = tmp_path / 'VOC2007/ImageSets/Main'
    lists.joinpath('val.txt').rename(lists / 'test.txt')
    lists.joinpath('train.txt').rename(lists / 'trainval.txt')
    lists.joinpath('test.txt').write_text('8\n')
    found = find_boxes(tmp_path)
    assert not found.is_split and names_in(found)['val'] == ['VOC2007/JPEGImages/8.png']
    assert found.notes[0].startswith('1 images are in no list or folder') and found.notes[0].endswith('9.png.')
    lists.joinpath('test.txt').write_text('8\n99')
    with pytest.raises(PartsError, match="1 of 2 lines of .*test.txt .* the first is '99'"):
        find_boxes(tmp_path)


def flat_yolo(root, settings):
    """Two folders whose names name no part."""
    yolo(root)
    (root / 'train').rename(root / 'a')
    (root / 'valid').rename(root / 'b')
    (root / 'data.yaml').write_text(f'names: {NAMES}\n{settings}\n')


@pytest.mark.parametrize(
    'settings',
    [
        'train: a/images\nval: b/images',
        'train: ../a/images\nval: ../b/images\ntest: ../test/images',
        'path: ../datasets/mine\ntrain: [a/images]\nvalidation: b',
        'path: /somewhere/mine\ntrain: a/images\ntest: b/images',
        'train: a.txt\nval: lists/b.txt',
    ],
)
def test_the_parts_of_a_data_yaml_are_followed(tmp_path, settings):
    flat_yolo(tmp_path / 'mine', settings)
    (tmp_path / 'mine/lists').mkdir()
    for part, file in (('a', 'a.txt'), ('b', 'lists/b.txt')):
        (tmp_path / 'mine' / file).write_text('\n'.join(f'/content/{part}/images/{k}.jpg' for k in range(10)))
    found = find_boxes(tmp_path / 'mine')
    assert not found.is_split and found.notes == []
    assert {part: {name.split('/')[0] for name in names} for part, names in names_in(found).items()} == dict(
        train={'a'}, val={'b'}
    )


@pytest.mark.parametrize(
    'settings, error, said',
    [
        ('train: a/images\nval: c/images', BoxesError, "its val part at 'c/images', and .* has no such folder"),
        ('train: a/images\nval: ../other', BoxesError, 'its val part at .*other, outside of'),
        ('train: a/images\nval: b.txt', PartsError, r'1 of 1 lines of .*b\.txt name no image'),
    ],
)
def test_parts_that_cannot_be_followed_are_refused(tmp_path, settings, error, said):
    flat_yolo(tmp_path / 'mine', settings)
    (tmp_path / 'other').mkdir()
    (tmp_path / 'mine/b.txt').write_text('none.jpg')
    with pytest.raises(error, match=said):
        find_boxes(tmp_path / 'mine')


def test_images_to_train_that_validate_too_are_told(tmp_path):
    flat_yolo(tmp_path, 'train: [a, b]\nval: b')
    assert find_boxes(tmp_path).notes == [
        '10 of the 10 images to validate are among those to train: their score says little about other images.'
    ]


def test_lists_of_darknet_are_followed(tmp_path):
    for k in range(4):
        image(tmp_path / f'obj_train_data/{k}.jpg')
        (tmp_path / f'obj_train_data/{k}.txt').write_text('0 .5 .5 .2 .2')
    (tmp_path / 'obj.names').write_text('cat\n')
    (tmp_path / 'train.txt').write_text('data/obj_train_data/0.jpg\ndata/obj_train_data/1.jpg\n')
    (tmp_path / 'valid.txt').write_text('data/obj_train_data/2.jpg\ndata/obj_train_data/3.jpg\n')
    assert names_in(find_boxes(tmp_path)) == {
        part: [f'obj_train_data/{k}.jpg' for k in numbers] for part, numbers in (('train', (0, 1)), ('val', (2, 3)))
    }


@pytest.mark.parametrize(
    'names, said',
    [
        ({str(k): f'n{k}' for k in range(11)}, None),
        ({k: f'n{k}' for k in reversed(range(11))}, None),
        ({1: 'a', 2: 'b'}, 'names for the labels 1, 2, .*: expected 0 to 1'),
        ({'a': 'b'}, 'names of labels that are no numbers'),
        ('cat', 'names=cat. Expected a list'),
    ],
)
def test_names_with_numbers_are_in_their_order(tmp_path, names, said):
    yolo(tmp_path)
    (tmp_path / 'data.yaml').write_text(yaml.safe_dump(dict(names=names)))
    if said:
        with pytest.raises(BoxesError, match=said):
            find_boxes(tmp_path)
    else:
        assert find_boxes(tmp_path).names == [f'n{k}' for k in range(11)]


def test_a_label_may_be_written_as_a_float(tmp_path):
    yolo(tmp_path)
    for file in tmp_path.glob('*/labels/*.txt'):
        file.write_text('1.000000 .5 .5 .25 .5\n')
    assert find_boxes(tmp_path).parts['train']['annotations'][0]['category_id'] == 2
    (tmp_path / 'train/labels/0.txt').write_text('0.5 .5 .5 .25 .5')
    with pytest.raises(BoxesError, match=r"line 1 of .*0\.txt is '0\.5 .*: '0\.5' is no label"):
        find_boxes(tmp_path)


def test_keypoints_are_no_outline(tmp_path):
    yolo(tmp_path)
    for file in tmp_path.glob('*/labels/*.txt'):
        file.write_text('0 .5 .5 .25 .5 .1 .1 .9 .9\n')
    settings = f'names: {NAMES}\nkpt_shape: '
    (tmp_path / 'data.yaml').write_text(f'{settings}[2, 2]')
    assert find_boxes(tmp_path).parts['train']['annotations'][0]['bbox'] == [30, 10, 20, 20]
    (tmp_path / 'data.yaml').write_text(f'{settings}[17, 3]')
    with pytest.raises(BoxesError, match=r'0\.txt has 8 numbers after the label; expected 55'):
        find_boxes(tmp_path)
    (tmp_path / 'data.yaml').write_text(f'{settings}17')
    with pytest.raises(BoxesError, match='kpt_shape=17. Expected'):
        find_boxes(tmp_path)


def test_several_settings_of_one_set_are_refused_unless_one_is_data_yaml(tmp_path):
    yolo(tmp_path)
    (tmp_path / 'a.yaml').write_text('names: [x, y]')
    assert find_boxes(tmp_path).names == NAMES
    (tmp_path / 'data.yaml').rename(tmp_path / 'b.yaml')
    with pytest.raises(BoxesError, match='several files with names or parts: a.yaml, b.yaml'):
        find_boxes(tmp_path)


def test_an_image_may_have_the_name_of_a_part(tmp_path):
    yolo(tmp_path)
    for kind, ending in (('images', 'jpg'), ('labels', 'txt')):
        (tmp_path / f'train/{kind}/0.{ending}').rename(tmp_path / f'train/{kind}/test.{ending}')
    assert len(of_image(find_boxes(tmp_path).parts['train'], 'test.jpg')) == 1


@pytest.mark.parametrize('write, folder', [(yolo, 'train/images'), (voc, 'JPEGImages')])
def test_two_images_of_one_name_are_refused(tmp_path, write, folder):
    write(tmp_path)
    image(tmp_path / folder / '0.bmp')
    with pytest.raises(BoxesError, match=r"0\.bmp and .*0\.\w+ belong to the same name, '0'"):
        find_boxes(tmp_path)


def test_two_files_of_labels_of_one_image_are_refused(tmp_path):
    voc(tmp_path)
    (tmp_path / 'xmls').mkdir()
    (tmp_path / 'xmls/0.xml').write_bytes((tmp_path / 'Annotations/0.xml').read_bytes())
    with pytest.raises(BoxesError, match=r'Annotations/0\.xml and xmls/0\.xml belong to the same name'):
        find_boxes(tmp_path)


def test_lists_divide_the_one_file_of_coco(tmp_path):
    coco(tmp_path)
    (tmp_path / 'annotations/instances_val.json').unlink()
    (tmp_path / 'train').rename(tmp_path / 'images')
    (tmp_path / 'annotations/instances_train.json').rename(tmp_path / 'annotations/all.json')
    (tmp_path / 'train.txt').write_text('\n'.join(f'{k}.jpg' for k in range(7)))
    (tmp_path / 'val.txt').write_text('7.jpg\n8.jpg\n')
    found = find_boxes(tmp_path)
    assert names_in(found) == dict(train=[f'{k}.jpg' for k in range(7)], val=['7.jpg', '8.jpg'])
    assert [one['image_id'] for one in found.parts['val']['annotations']] == [7, 8]
    assert (found.is_split, found.files, found.folders) == (False, {}, dict(train='images', val='images'))
    assert 'the first is images/9.jpg' in found.notes[0]


@pytest.mark.parametrize('folder', ['images', 'data'])
def test_images_of_coco_lie_in_a_folder_beside_their_file(tmp_path, folder):
    coco(tmp_path)
    for part in ('train', 'val'):
        (tmp_path / part).rename(tmp_path / 'moved')
        (tmp_path / part).mkdir()
        (tmp_path / 'moved').rename(tmp_path / part / folder)
        (tmp_path / f'annotations/instances_{part}.json').rename(tmp_path / part / 'labels.json')
    assert find_boxes(tmp_path).folders == dict(train=f'train/{folder}', val=f'val/{folder}')


def test_files_of_keypoints_and_segments_lie_beside_those_of_boxes(tmp_path):
    coco(tmp_path)
    folder = tmp_path / 'annotations'
    for kind in ('person_keypoints', 'panoptic'):  # with other categories, and without boxes
        told = json.loads((folder / 'instances_train.json').read_text())
        told.update(categories=told['categories'][:1], annotations=[dict(image_id=0)])
        (folder / f'{kind}_train.json').write_text(json.dumps(told))
    found = find_boxes(tmp_path)
    assert found.files == dict(train='annotations/instances_train.json', val='annotations/instances_val.json')
    assert [note.split()[0] for note in found.notes] == [
        'annotations/panoptic_train.json',
        'annotations/person_keypoints_train.json',
    ]


def test_xml_may_be_in_utf_16(tmp_path):
    voc(tmp_path)
    for file in (tmp_path / 'Annotations').iterdir():
        file.write_text(f'<?xml version="1.0" encoding="utf-16"?>{file.read_text()}', encoding='utf-16')
    assert sorted(find_boxes(tmp_path).names) == sorted(NAMES)


def test_images_of_coco_need_no_names_of_their_own(tmp_path):
    coco(tmp_path)
    image(tmp_path / 'train/0.png')
    assert find_boxes(tmp_path).notes == []


def test_folders_divide_the_one_file_of_coco(tmp_path):
    coco(tmp_path)
    whole = dict(images=[], annotations=[])
    for first, part in ((0, 'train'), (100, 'val')):
        file = tmp_path / f'annotations/instances_{part}.json'
        told = json.loads(file.read_text())
        images = [dict(one, id=first + one['id'], file_name=f'{part}/{one["file_name"]}') for one in told['images']]
        boxes = [dict(one, id=first + one['id'], image_id=first + one['image_id']) for one in told['annotations']]
        whole = dict(told, images=whole['images'] + images, annotations=whole['annotations'] + boxes)
        file.unlink()
    (tmp_path / 'all.json').write_text(json.dumps(whole))
    found = find_boxes(tmp_path)
    assert not found.is_split and found.notes == [] and found.files == {}
    assert {part: {name.split('/')[0] for name in names} for part, names in names_in(found).items()} == dict(
        train={'train'}, val={'val'}
    )


def test_labels_behind_a_link_are_found_as_images_are(tmp_path):
    yolo(tmp_path / 'mine')
    (tmp_path / 'mine/train').rename(tmp_path / 'elsewhere')
    (tmp_path / 'mine/train').symlink_to(tmp_path / 'elsewhere')
    assert len(find_boxes(tmp_path / 'mine').parts['train']['annotations']) == 10
    (tmp_path / 'mine/data.yaml').write_text(f'train: train/images\nval: valid/images\nnames: {NAMES}')
    assert len(find_boxes(tmp_path / 'mine').parts['train']['annotations']) == 10


@pytest.mark.parametrize('text', ['\ufeffred panda\r\n cat \r\n\r\n', 'red panda\n\ncat\n'])
def test_a_file_of_names_has_a_name_in_each_line(tmp_path, text):
    yolo(tmp_path)
    (tmp_path / 'data.yaml').unlink()
    (tmp_path / 'classes.txt').write_text(text, newline='')
    if '\n\nc' in text:  # the cat would have another number
        with pytest.raises(VocabularyError, match='Line 2 of .*classes.txt is empty'):
            find_boxes(tmp_path)
    else:
        assert find_boxes(tmp_path).names == NAMES


def test_images_of_no_part_are_told(tmp_path):
    yolo(tmp_path, part='more')
    (tmp_path / 'data.yaml').write_text(f'names: {NAMES}')
    found = find_boxes(tmp_path)
    assert found.is_split and found.notes[0].startswith('10 images are in no list or folder of a part')
    assert {name.split('/')[0] for names in names_in(found).values() for name in names} == {'train'}
    coco(tmp_path / 'coco')
    images = tmp_path / 'coco/annotations/instances_train.json'
    (tmp_path / 'coco/train/_all.json').write_text(images.read_text())
    (tmp_path / 'coco/train').rename(tmp_path / 'coco/images')
    assert 'images/_all.json names no part, and is left out.' in find_boxes(tmp_path / 'coco').notes


def test_an_image_without_its_xml_is_told_and_difficult_is_a_word_too(tmp_path):
    voc(tmp_path)
    (tmp_path / 'Annotations/9.xml').unlink()
    for k, word in enumerate((' 1 ', 'true', '0', 'Unspecified')):
        tree = ET.parse(tmp_path / f'Annotations/{k}.xml')
        ET.SubElement(tree.getroot().find('object'), 'difficult').text = word
        tree.write(tmp_path / f'Annotations/{k}.xml')
    found = find_boxes(tmp_path)
    assert found.notes[0] == '1 images have no XML file, and are left out; the first is JPEGImages/9.png.'
    crowds = [
        one['file_name']
        for told in found.parts.values()
        for one in told['images']
        if any(box['iscrowd'] for box in told['annotations'] if box['image_id'] == one['id'])
    ]
    assert sorted(crowds) == ['JPEGImages/0.png', 'JPEGImages/1.png']


@pytest.mark.parametrize('text', ['\ufeff{}', '{"a": 1}'])
def test_json_and_text_of_another_kind_does_not_stand_in_the_way(tmp_path, text):
    yolo(tmp_path)
    (tmp_path / 'of_a_tool.json').write_text(text, encoding='utf-8' if '\ufeff' in text else 'utf-16')
    with (tmp_path / 'log.txt').open('wb') as file:
        file.truncate(SMALL + 1)
    (tmp_path / 'annotations.xml').write_text('<?xml version="1.0"?><annotations></annotations>')
    assert find_boxes(tmp_path).notes == []
    (tmp_path / 'train/labels/99.txt').write_text('\ufeff\n0 .5 .5 .1 .1\n')
    assert find_boxes(tmp_path).notes == [
        '1 files of labels belong to no image, and are left out; the first is train/labels/99.txt.'
    ]


def test_coco_files_of_parts_that_are_not_used_are_not_checked(tmp_path):
    coco(tmp_path)
    found = find_boxes(tmp_path)
    for name in ('instances_test', 'all', 'more'):  # their images are not there
        told = (tmp_path / 'annotations/instances_val.json').read_text()
        (tmp_path / f'annotations/{name}.JSON').write_text(told.replace('.jpg', '.png'))
    again = find_boxes(tmp_path)
    assert again.parts == found.parts and again.files == found.files
    assert [note.split()[0] for note in again.notes] == ['annotations/all.JSON', 'annotations/more.JSON']
    (tmp_path / 'annotations/instances_train.json').rename(tmp_path / 'annotations/instances_train.JSON')
    assert find_boxes(tmp_path).files['train'].endswith('train.JSON')


@pytest.mark.parametrize('write', [coco, voc, yolo])
def test_names_are_those_that_a_config_reads(tmp_path, write):
    write(tmp_path)
    files = [file for ending in ('json', 'xml', 'yaml') for file in tmp_path.rglob(f'*.{ending}')]
    texts = [file.read_text() for file in files]
    for file, text in zip(files, texts):
        file.write_text(text.replace('red panda', 'red panda | firefox'))
    found = find_boxes(tmp_path)
    assert set(found.names) == {'red panda|firefox', 'cat'} and found.files == {}
    assert all([one['name'] for one in told['categories']] == found.names for told in found.parts.values())
    assert found.notes[-1] == "1 class names are written in another way: 'red panda | firefox' is 'red panda|firefox'."
    for file, text in zip(files, texts):
        file.write_text(text.replace('red panda', 'CAT'))
    with pytest.raises(BoxesError, match=r'The class names of .* text towers read lower case'):
        find_boxes(tmp_path)


def test_a_drawn_part_without_boxes_asks_for_another_seed(tmp_path):
    voc(tmp_path, count=2)
    (tmp_path / 'Annotations/0.xml').write_text('<annotation></annotation>')
    with pytest.raises(BoxesError, match='no box that counts.* another --seed draws others'):
        find_boxes(tmp_path)
    (tmp_path / 'Annotations/1.xml').write_text('<annotation></annotation>')
    with pytest.raises(BoxesError, match='do not count.$'):
        find_boxes(tmp_path)


def test_a_class_without_a_box_to_validate_is_told(tmp_path):
    yolo(tmp_path)
    for k in range(1, 10, 2):
        (tmp_path / f'valid/labels/{k}.txt').write_text('')
    note = '1 class names have no box to validate (cat): AP is the mean of the others.'
    assert find_boxes(tmp_path).notes == [note]
    (tmp_path / 'data.yaml').write_text('train: ../train/images\nnc: 7\nnames: [dog, cat, a, b, c, d, e]\n')
    assert '6 class names have no box to validate (cat, a, b, c, d, ...): AP' in find_boxes(tmp_path).notes[0]


def test_boxes_beyond_their_image_are_cut_and_counted(tmp_path):
    voc(tmp_path)
    corners(tmp_path, 11, 1, 101, 31)
    found = find_boxes(tmp_path)
    assert '1 boxes reach more than 1 px beyond their image, and are cut to it.' in found.notes
