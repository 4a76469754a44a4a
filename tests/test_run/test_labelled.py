"""What labelled data lack is said before a library builds its data sets, in plain words."""

import json

import pytest
from mmengine.config import Config
from PIL import Image

from mmlgd.datasets import fill_in
from mmlgd.datasets.boxes import BoxesError
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.run.labelled import check_labelled
from tests import ROOT

CONFIGS = ROOT / 'configs'
DETECTORS = ('benchmarks/mmdet/faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py', 'small/detector_bccd.py')


@pytest.fixture(params=DETECTORS)
def detector(request, tmp_path):
    """Check a detector's config on a small data set, of which a test may change the annotations."""
    pytest.importorskip('mmdet')
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (32, 32)).save(tmp_path / 'images/a.jpg')
    told = dict(
        images=[dict(id=1, file_name='a.jpg', width=32, height=32)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    )

    def run(loaders=('train_dataloader', 'val_dataloader'), classes=('cat', 'dog'), classwise=False, **changes):
        (tmp_path / 'a.json').write_text(json.dumps({**told, **changes}))
        cfg = Config.fromfile(CONFIGS / request.param)
        cfg.merge_from_dict(dict(data_root=str(tmp_path), names=['cat', 'dog']))
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            place = dict(ann_file='a.json', data_prefix=dict(img='images'), metainfo=dict(classes=classes))
            loader.dataset.merge(place)
        cfg.val_evaluator.classwise = classwise
        fill_in(cfg)
        check_labelled(cfg, loaders)

    run.folder = tmp_path
    return run


def test_data_that_fit_pass(detector):
    detector()


@pytest.mark.parametrize(
    'changes, said',
    [
        (dict(categories=[dict(id=1, name='Cat')]), 'a.json has categories for 0 of 2 class names'),
        (dict(categories=[dict(id=1, name='dog'), dict(id=2, name='cat')]), 'in the order dog, cat'),
        (dict(images=[]), 'lists no images'),
        (dict(annotations=[]), 'has no box of any class name'),
    ],
)
def test_annotations_that_do_not_fit_are_named(detector, changes, said):
    with pytest.raises(ConfigError, match=said):
        detector(**changes)


@pytest.mark.parametrize(
    'change, said',
    [
        (dict(id=0), '1 annotations have an id of 0'),
        (dict(id='a'), '1 annotations have an id of 0 or no whole number'),
        (dict(iscrowd=None), '1 annotations have no iscrowd'),
        (dict(area=None), '1 annotations have no area'),
        (dict(area=0), 'has no box of any class name that counts'),
        (dict(iscrowd=1), 'has no box of any class name that counts'),
    ],
)
def test_what_the_libraries_need_of_annotations_is_required(detector, change, said):
    one = dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
    with pytest.raises((BoxesError, ConfigError), match=said):
        detector(annotations=[{**one, **change}])


def test_training_needs_no_ids_above_0(detector):
    one = dict(id=0, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81)
    detector(('train_dataloader',), annotations=[one])
    with pytest.raises(BoxesError, match='have an id of 0 .*; 1 annotations have no iscrowd.*Number the annotations'):
        detector(('val_dataloader',), annotations=[one])


def test_categories_that_fall_are_refused_where_each_class_has_its_score(detector):
    categories = [dict(id=2, name='cat'), dict(id=1, name='dog')]
    detector(categories=categories)
    with pytest.raises(BoxesError, match='ids that do not rise'):
        detector(categories=categories, classwise=True)


def test_class_names_may_be_a_file(detector):
    (detector.folder / 'names.txt').write_text('cat\ndog\n')
    detector(classes=str(detector.folder / 'names.txt'))
    with pytest.raises(MissingFileError, match="has classes='cat'; a text is read as the path of a file of names"):
        detector(classes='cat')


def test_missing_files_are_named(detector):
    with pytest.raises(MissingFileError, match="expects the image 'b.jpg' of .*a.json in .*images"):
        detector(images=[dict(id=1, file_name='b.jpg', width=32, height=32)])
    cfg = Config.fromfile(CONFIGS / DETECTORS[1])
    cfg.data_root = str(detector.folder)
    fill_in(cfg)
    with pytest.raises(MissingFileError, match='expects an annotation file at .*instances_train.json.*mmlgd detect'):
        check_labelled(cfg)
    file = detector.folder / cfg.train_dataloader.dataset.ann_file
    file.parent.mkdir()
    file.write_text('{}')
    with pytest.raises(ConfigError, match='is not in the format of COCO'):
        check_labelled(cfg)


def test_lvis_has_its_file_names_in_urls(tmp_path):
    pytest.importorskip('mmdet')
    cfg = Config.fromfile(CONFIGS / 'benchmarks/mmdet/mask-rcnn_resnet18_fpn_sample1e-3_ms-1x_lvis-v1.py')
    told = dict(
        images=[dict(id=1, coco_url='http://images.cocodataset.org/train2017/1.jpg', width=32, height=32)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81)],
        categories=[dict(id=1, name='cat')],
    )
    (tmp_path / 'a.json').write_text(json.dumps(told))
    place = dict(data_root=str(tmp_path), ann_file='a.json')
    cfg.train_dataloader.dataset.dataset.merge(place)  # in one that balances classes
    cfg.val_dataloader.dataset.merge(place)
    with pytest.raises(MissingFileError, match="expects the image 'train2017/1.jpg'"):
        check_labelled(cfg)
    (tmp_path / 'train2017').mkdir()
    Image.new('RGB', (32, 32)).save(tmp_path / 'train2017/1.jpg')
    check_labelled(cfg)


def test_missing_images_and_masks_are_named(tmp_path):
    pytest.importorskip('mmseg')
    cfg = Config.fromfile(CONFIGS / 'small/segmentor_camvid.py')
    cfg.data_root = str(tmp_path)
    fill_in(cfg)
    with pytest.raises(MissingFileError, match='expects a folder at .*images/train, and there is none'):
        check_labelled(cfg)
    for part in ('train', 'val'):
        (tmp_path / 'images' / part).mkdir(parents=True)
        (tmp_path / 'annotations' / part).mkdir(parents=True)
        (tmp_path / 'images' / part / 'a.png').touch()
    (tmp_path / 'links').mkdir()
    (tmp_path / 'links/b.bmp').touch()
    (tmp_path / 'images/train/more').symlink_to(tmp_path / 'links')  # mmseg follows links
    with pytest.raises(MissingFileError, match=r"images ending with '.jpg' in .*Endings in .*: \.bmp, \.png"):
        check_labelled(cfg)
    for dataset in (cfg.train_dataloader.dataset, cfg.val_dataloader.dataset):
        dataset.img_suffix = '.png'
    (tmp_path / 'images/train/._a.png').touch()  # as macOS leaves beside a file; mmseg does not read it
    (tmp_path / 'annotations/train/a.png').touch()
    said = r'1 of 1 images of val_dataloader have no mask, first expected at .*val/a\.png.* no files'
    with pytest.raises(MissingFileError, match=said):
        check_labelled(cfg)
    (tmp_path / 'annotations/val/a.png').touch()
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere/b.png').touch()
    (tmp_path / 'images/val/more').symlink_to(tmp_path / 'elsewhere')  # mmseg follows links
    with pytest.raises(MissingFileError, match=r'1 of 2 images .* no mask, .*val/more/b\.png'):
        check_labelled(cfg)


def test_an_evaluation_that_leaves_images_out_is_refused():
    load = dict(type='mmlgd.LoadImageFromFile', like_mmcv=True, bad_images='skip')
    images = dict(type='mmpretrain.CustomDataset', data_root='data', pipeline=[load])
    cfg = Config(dict(default_scope='mmpretrain', train_dataloader=dict(dataset=images)))
    check_labelled(cfg)
    cfg.val_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=images))
    with pytest.raises(ConfigError, match='val_dataloader has .*evaluation never skips images'):
        check_labelled(cfg)


def test_a_classifier_has_a_text_for_its_folder():
    images = dict(type='mmpretrain.CustomDataset', data_root='data', data_prefix='train')
    check_labelled(Config(dict(default_scope='mmpretrain', train_dataloader=dict(dataset=images))))


def test_a_file_of_names_that_is_not_there_is_named_for_sets_of_any_library():
    """mmengine goes on with the letters of its path."""
    for kind in ('mmpretrain.CustomDataset', 'mmseg.BaseSegDataset', 'elsewhere.Unknown'):
        dataset = dict(type=kind, data_prefix='', metainfo=dict(classes='names.txt'))
        with pytest.raises(MissingFileError, match="val_dataloader.* has classes='names.txt'; a text is read as"):
            check_labelled(Config(dict(val_dataloader=dict(dataset=dataset))))
