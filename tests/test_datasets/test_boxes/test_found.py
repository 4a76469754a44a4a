"""Boxes of three formats are the same boxes, with parts for training and validation."""

import json
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from mmlgd.datasets.boxes import BoxesError, find_boxes
from mmlgd.errors import MissingFileError

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
                dict(id=k, image_id=k, category_id=k % 2 + 1, bbox=list(BOX), area=200, iscrowd=0) for k in range(count)
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


def an_url_in_place_of_a_name(root):
    file = root / 'annotations/instances_train.json'
    told = json.loads(file.read_text())
    told['images'][3]['coco_url'] = f'http://images/train/{told["images"][3].pop("file_name")}'
    file.write_text(json.dumps(told))


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
    (tmp_path / 'train/labels/1.txt').unlink()
    told = find_boxes(tmp_path).parts['train']
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
        (voc, lambda r: (r / 'Annotations/0.xml').write_text('<annotation><object>'), r'0\.xml is no XML'),
        (coco, lambda r: (r / 'annotations/instances_val.json').write_text('{'), 'is no JSON'),
        (coco, lambda r: [f.unlink() for f in (r / 'val').iterdir()], 'is in none of its usual folders'),
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


def test_a_folder_without_boxes(tmp_path):
    image(tmp_path / 'a.jpg')
    with pytest.raises(BoxesError, match='has 1 images, and no boxes that can be read'):
        find_boxes(tmp_path)
    with pytest.raises(MissingFileError, match='no folder of data'):
        find_boxes(tmp_path / 'none')
