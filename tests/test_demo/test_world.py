"""The demo world: the same everywhere, true to its masks, read by stock OpenMMLab data sets."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmlgd.demo import DEMO_CLASSES, render_object, render_scene, write_demo_world
from mmlgd.demo.drawing import SHAPES, TEXTURES, draw_ground, draw_object
from mmlgd.demo.images import _quarters

SMALL = dict(num_objects=(20, 10), num_scenes=(10, 10))


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return write_demo_world(tmp_path_factory.mktemp('demo') / 'world', **SMALL)


def _files(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


def _decode(rle):
    """COCO's uncompressed RLE -> (H, W) bool, written apart from the encoder."""
    flat, value = [], False
    for run in rle['counts']:
        flat += [value] * run
        value = not value
    return np.array(flat).reshape(rle['size'][::-1]).T


def test_images_depend_on_seed_split_and_index_alone():
    first = render_object(3, 'train', 7)
    np.random.seed(1)  # the global state must not matter
    again = render_object(3, 'train', 7)
    assert np.array_equal(first[0], again[0]) and first[1:] == again[1:]
    for other in (render_object(4, 'train', 7), render_object(3, 'val', 7), render_object(3, 'train', 17)):
        assert other[1] == first[1] and not np.array_equal(other[0], first[0])


def test_two_writes_give_the_same_files_and_another_seed_others(world, tmp_path):
    twin = write_demo_world(tmp_path / 'twin', **SMALL)
    assert _files(twin) == _files(world)
    other = write_demo_world(tmp_path / 'other', seed=1, **SMALL)
    assert (other / 'scenes/val.json').read_bytes() != (world / 'scenes/val.json').read_bytes()


@pytest.mark.parametrize('name', DEMO_CLASSES)
def test_every_object_has_a_solid_visible_shape(name):
    rgb, cover = draw_object(np.random.default_rng(0), name, 'red', radius=20)
    assert rgb.shape == (*cover.shape, 3) and cover.min() >= 0 and cover.max() <= 1
    assert cover.mean() > 0.2
    assert 36 <= max(cover.shape) <= 62  # about two radii, plus tilt and stretch
    for axis in (0, 1):  # it fills its crop, but for the tip of a corner
        assert (cover >= 0.5).any(axis=axis)[3:-3].all()


def test_a_ring_has_a_hole():
    _, cover = draw_object(np.random.default_rng(0), 'ring', 'red', radius=20)
    assert cover[cover.shape[0] // 2, cover.shape[1] // 2] == 0


@pytest.mark.parametrize('texture', TEXTURES)
def test_grounds_are_colours(texture):
    ground = draw_ground(np.random.default_rng(0), texture, 'blue', 64)
    assert ground.shape == (64, 64, 3) and ground.min() >= 0 and ground.max() <= 255
    assert (np.ptp(ground) > 20) and (texture == 'plain') == (ground.std(axis=(0, 1)).max() < 1)


def test_captions_name_the_class(world):
    lines = (world / 'captions.txt').read_text().splitlines()
    labels = dict(line.split() for line in (world / 'objects/train.txt').open())
    assert len(lines) == len(labels) == 20
    for line in lines:
        file, caption = line.split('\t')
        assert (world / file).is_file()
        assert DEMO_CLASSES[int(labels[file.rsplit('/', 1)[1]])] in caption.split()
        assert ' a orange' not in caption and '{' not in caption


def test_quarters_are_captioned_by_what_covers_them(world):
    lines = (world / 'quarters.txt').read_text().splitlines()
    files = [line.split('\t')[0] for line in (world / 'captions.txt').read_text().splitlines()]
    assert [line.split('\t')[0] for line in lines] == files
    labels = dict(line.split() for line in (world / 'objects/train.txt').open())
    seen = []
    for line in lines:
        file, *quarters = line.split('\t')
        name = DEMO_CLASSES[int(labels[file.rsplit('/', 1)[1]])]
        assert len(quarters) == 4 and set(quarters) <= {f'a {name}', 'a ground', ''}
        seen += quarters
    assert 'a ground' in seen and '' in seen and any(f'a {name}' in seen for name in DEMO_CLASSES)


def test_the_quarters_of_an_object_in_a_corner():
    cover = np.ones((20, 30))  # rows 0..19 and columns 20..49 of 64: 240 of the first quarter's 1024 pixels, 360, 0, 0
    assert _quarters('star', cover, 20, 0, 64) == ['', 'a star', 'a ground', 'a ground']


def test_scene_masks_do_not_overlap_and_stay_recognisable():
    for index in range(10):
        _, labels, masks = render_scene(0, 'train', index)
        assert 2 <= len(labels) <= 5 and labels[0] == index % len(DEMO_CLASSES)
        assert masks.sum(axis=0).max() == 1 and masks.sum(axis=(1, 2)).min() > 40


@pytest.mark.parametrize('split', ['train', 'val'])
def test_annotations_agree_with_the_masks(world, split):
    coco = json.loads((world / f'scenes/{split}.json').read_text())
    assert [c['name'] for c in coco['categories']] == list(DEMO_CLASSES)
    seen = {image['id']: np.zeros((128, 128), int) for image in coco['images']}
    for ann in coco['annotations']:
        mask = _decode(ann['segmentation'])
        x, y, w, h = ann['bbox']
        window = mask[y : y + h, x : x + w]
        assert window.sum() == mask.sum() == ann['area']
        assert all(edge.any() for edge in (window[0], window[-1], window[:, 0], window[:, -1]))
        seen[ann['image_id']][mask] = ann['category_id']
    for image in coco['images']:
        index_mask = np.array(Image.open(world / f'scenes/masks/{split}/{image["file_name"]}'))
        assert index_mask.dtype == np.uint8
        assert np.array_equal(index_mask, seen[image['id']])


def test_every_class_is_in_every_part(world):
    everything = set(range(len(DEMO_CLASSES)))
    for split in ('train', 'val'):
        lines = (world / f'objects/{split}.txt').read_text().splitlines()
        assert {int(line.split()[1]) for line in lines} == everything
        coco = json.loads((world / f'scenes/{split}.json').read_text())
        assert {a['category_id'] - 1 for a in coco['annotations']} == everything
    assert (world / 'names.txt').read_text().split() == list(DEMO_CLASSES) == list(SHAPES)


def test_mmpretrain_reads_the_objects(world):
    CustomDataset = pytest.importorskip('mmpretrain.datasets').CustomDataset
    data = CustomDataset(
        data_root=str(world),
        ann_file='objects/val.txt',
        data_prefix='objects/val',
        metainfo=dict(classes=DEMO_CLASSES),
        pipeline=[dict(type='mmpretrain.LoadImageFromFile')],
    )
    assert len(data) == 10 and tuple(data.CLASSES) == DEMO_CLASSES
    assert [data[i]['gt_label'] for i in range(10)] == list(range(10))
    assert data[0]['img'].shape == (64, 64, 3)


def test_mmdet_reads_the_scenes(world):
    CocoDataset = pytest.importorskip('mmdet.datasets').CocoDataset
    data = CocoDataset(
        data_root=str(world),
        ann_file='scenes/train.json',
        data_prefix=dict(img='scenes/train'),
        metainfo=dict(classes=DEMO_CLASSES),
        pipeline=[
            dict(type='mmdet.LoadImageFromFile'),
            dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
        ],
    )
    assert len(data) == 10
    sample = data[3]
    _, labels, masks = render_scene(0, 'train', 3)
    assert sample['gt_bboxes_labels'].tolist() == labels.tolist()
    assert np.array_equal(sample['gt_masks'].masks.astype(bool), masks)
    boxes = getattr(sample['gt_bboxes'], 'tensor', sample['gt_bboxes'])
    assert tuple(boxes.shape) == (len(labels), 4)


def test_mmseg_reads_the_masks(world):
    BaseSegDataset = pytest.importorskip('mmseg.datasets').BaseSegDataset
    classes = ('background', *DEMO_CLASSES)
    data = BaseSegDataset(
        data_root=str(world),
        img_suffix='.png',
        metainfo=dict(classes=classes),
        data_prefix=dict(img_path='scenes/val', seg_map_path='scenes/masks/val'),
        pipeline=[dict(type='mmseg.LoadImageFromFile'), dict(type='mmseg.LoadAnnotations')],
    )
    _, labels, masks = render_scene(0, 'val', 4)
    sample = data[4]
    assert len(data) == 10 and sample['img'].shape[:2] == sample['gt_seg_map'].shape
    assert np.array_equal(sample['gt_seg_map'] > 0, masks.any(axis=0))
    assert set(np.unique(sample['gt_seg_map'])) == {0, *(labels + 1)}


def test_second_write_touches_nothing_and_other_arguments_replace(world, tmp_path):
    root = shutil.copytree(world, tmp_path / 'copy')
    (root / 'mine.txt').write_text('kept')
    before = {p: p.stat().st_mtime_ns for p in root.rglob('*')}
    write_demo_world(str(root), **SMALL)
    assert {p: p.stat().st_mtime_ns for p in root.rglob('*')} == before
    write_demo_world(root, num_objects=(10, 10), num_scenes=(10, 10), object_size=32)
    assert len(list((root / 'objects/train').iterdir())) == 10  # nothing of the old world stays
    assert Image.open(root / 'objects/train/00000.png').size == (32, 32)
    assert (root / 'mine.txt').read_text() == 'kept'
    assert [p.name for p in tmp_path.iterdir()] == ['copy']  # no draft left beside it
    (root / 'world.json').write_text('{"version": ')  # damaged: drawn anew
    write_demo_world(root, **SMALL)
    assert len(list((root / 'objects/train').iterdir())) == 20


@pytest.mark.parametrize(
    'bad, word',
    [
        (dict(num_objects=(9, 10)), 'num_objects of train'),
        (dict(num_scenes=5), 'num_scenes'),
        (dict(num_scenes=(10, 2.5)), 'num_scenes of val'),
        (dict(seed=-1), 'seed'),
        (dict(seed='0'), 'seed'),
        (dict(object_size=16), 'object_size'),
        (dict(scene_size=True), 'scene_size'),
    ],
)
def test_bad_arguments_are_named(tmp_path, bad, word):
    with pytest.raises(ValueError, match=word):
        write_demo_world(tmp_path / 'world', **bad)
    assert not (tmp_path / 'world').exists()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years of work')
    with pytest.raises(FileExistsError, match='not a demo world'):
        write_demo_world(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.tex']


def test_unknown_words_are_named():
    with pytest.raises(ValueError, match='tartan'):
        draw_ground(np.random.default_rng(0), 'tartan', 'red', 64)
