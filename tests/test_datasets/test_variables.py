"""The variables of our configs reach every place that asks for them, as values."""

import pytest
from mmengine.config import Config

import mmlgd
from mmlgd.datasets import fill_in
from mmlgd.errors import ConfigError
from mmlgd.text import VocabularyError
from tests import ROOT
from tests.our_configs import config_of

CONFIGS = ROOT / 'configs'
OWN = {
    'small/detector_bccd.py': ['data_root'],
    'small/detector_coco128.py': ['data_root'],
    'small/detector_runway.py': ['data_root'],
    'small/segmentor_camvid.py': ['data_root'],
    'small/detector_boxes.py': ['data_root', 'names'],
    'small/segmentor_masks.py': ['data_root', 'names'],
    'small/lgd_resnet18-half_images.py': ['data_root', 'names'],
    'small/baselines/supervised_resnet18-half_tiny-imagenet.py': ['data_root', 'names'],
    'lgd/lgd_resnet18_1xb256-coslr-100e_tiny-imagenet_conse.py': ['data_root', 'names'],
    'demo/lgd_resnet18-tiny_demo.py': ['data_root', 'names'],
    'benchmarks/classification/zero-shot_folder.py': ['data_root', 'names'],
    'benchmarks/classification/linear_1xb256-steplr-100e_folder.py': ['data_root', 'names'],
    'benchmarks/mmseg/deeplabv3plus_resnet18_1xb8-8k_masks-512x512.py': ['data_root', 'names'],
    'benchmarks/zero_shot_segmentation/masks.py': ['data_root', 'names'],
    'benchmarks/mmdet/faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py': ['data_root', 'names'],
}
PARTS = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator')


def settings(value):
    """All keys and values in a part of a config."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, one in inner:
        yield key, one
        yield from settings(one)


def own(config, folder):
    """The config as a user has it who sets its variables, with names beside the images."""
    if 'mmdet::' in (CONFIGS / config).read_text():
        pytest.importorskip('mmdet')
    cfg = config_of(CONFIGS / config)
    cfg.merge_from_dict(dict(data_root=str(folder), **({'names': 'mine.txt'} if 'names' in OWN[config] else {})))
    fill_in(cfg)
    return cfg


@pytest.mark.parametrize('config', OWN)
def test_a_variable_reaches_every_place(config, tmp_path):
    folder = tmp_path / "it's \\1 {{b}} ,open('ran','w'),"  # a value and no code
    folder.mkdir()
    (folder / 'mine.txt').write_text('class0\tcat\nclass1\tdog\n')
    cfg = own(config, folder)
    found = [item for part in PARTS for item in settings(cfg.get(part) or {})]
    roots = {value for key, value in found if key == 'data_root'}
    assert roots == {str(folder)}
    # A None that is left has a meaning of its own, or would be a variable that was forgotten.
    names = ('data_root', 'ann_file', 'vocabulary', 'classes', 'num_classes', 'topk', 'ignore_index', 'img_suffix')
    assert not [key for key, value in found if value is None and key in names]
    for key, value in found:
        if 'names' in OWN[config]:
            assert key != 'vocabulary' or value == str(folder / 'mine.txt')
            assert key != 'classes' or value == ('cat', 'dog')
            # The first has 200 classes; ATSS chooses 9 anchors.
            assert key != 'topk' or value in (1, (1,)) or 'conse' in config or 'detector' in config
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('config', [name for name in OWN if 'small/detector' in name or 'small/segmentor' in name])
def test_schedule_rate_and_labels_are_variables(config, tmp_path):
    cfg = config_of(CONFIGS / config)
    cfg.merge_from_dict(
        dict(data_root=str(tmp_path), names=['cat', 'dog'], iterations=77, backbone_rate=0.3, label_percent=5)
    )
    fill_in(cfg)
    found = dict(item for part in ('optim_wrapper', 'train_cfg', 'default_hooks') for item in settings(cfg[part]))
    assert (found['lr_mult'], found['max_iters'], found['val_interval']) == (0.3, 77, 77)
    assert cfg.default_hooks.checkpoint.interval == cfg.param_scheduler[-1].end == 77
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin and cfg.train_dataloader.sampler.percent == 5


@pytest.mark.parametrize('size, scale, square', [(320, (320, 320), (320, 320)), ([640, 480], (640, 480), (480, 480))])
def test_the_size_of_the_images_is_one_variable(size, scale, square):
    for config in (
        'small/detector_bccd.py',
        'small/segmentor_camvid.py',
        'benchmarks/mmdet/faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py',
        'benchmarks/mmseg/deeplabv3plus_resnet18_1xb8-8k_masks-512x512.py',
    ):
        if 'benchmarks/mmdet' in config:
            pytest.importorskip('mmdet')
        cfg = config_of(CONFIGS / config)
        cfg.merge_from_dict(dict(image_size=size, names=['cat', 'dog']))
        fill_in(cfg)
        steps = [step for part in ('train', 'val') for step in cfg[f'{part}_dataloader'].dataset.pipeline]
        assert [step.scale for step in steps if 'scale' in step] == [scale] * 2
        assert all(step.crop_size == square for step in steps if 'crop_size' in step)
        assert cfg.model.data_preprocessor.get('size', square) == square


def test_a_size_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="image_size is 'large', expected pixels"):
        fill_in(Config(dict(image_size='large')))


def test_the_value_without_a_label_reaches_masks_losses_and_metrics():
    pytest.importorskip('mmseg')
    cfg = config_of(CONFIGS / 'benchmarks/mmseg/deeplabv3plus_resnet18_1xb8-8k_masks-512x512.py')
    cfg.merge_from_dict(dict(names=['road', 'sky', 'tree'], ignore_index=11, img_suffix='.png'))
    fill_in(cfg)
    assert cfg.model.data_preprocessor.seg_pad_val == cfg.model.decode_head.ignore_index == 11
    assert cfg.model.auxiliary_head.ignore_index == cfg.val_evaluator.ignore_index == 11
    assert [step.ignore_index for step in cfg.train_dataloader.dataset.pipeline if 'ignore_index' in step] == [11]
    for phase in ('train', 'val', 'test'):
        dataset = cfg[f'{phase}_dataloader'].dataset
        assert (dataset.ignore_index, dataset.reduce_zero_label, dataset.img_suffix) == (11, False, '.png')
    assert cfg.model.decode_head.num_classes == 3


def test_top_5_takes_more_than_five_names():
    few, more, many = ([f'name {k}' for k in range(count)] for count in (5, 6, 50))
    for names, topk in ((few, (1,)), (more, (1, 5)), (', '.join(many), (1, 5))):  # a text longer than a path may be
        cfg = Config(dict(names=names, val_evaluator=[dict(topk=None)]))
        fill_in(cfg)
        assert cfg.val_evaluator[0].topk == topk


def test_other_configs_stay_as_they_are():
    cfg = Config(dict(data_root='/my/data', model=dict(head=dict(num_classes=None)), load_from=None))
    before = cfg.to_dict()
    fill_in(cfg)
    assert cfg.to_dict() == before


def test_a_missing_file_of_names_is_refused(tmp_path):
    cfg = Config(dict(data_root=str(tmp_path), names='names.txt', model=dict(num_classes=None)))
    with pytest.raises((VocabularyError, FileNotFoundError), match='names.txt'):
        fill_in(cfg)


def test_the_evaluator_reads_the_annotations_of_its_data_set():
    pytest.importorskip('mmdet')
    for config, option in (
        ('benchmarks/mmdet/faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py', {'names': ['cat']}),
        ('small/detector_bccd.py', {}),
    ):
        cfg = config_of(CONFIGS / config)
        cfg.merge_from_dict({'data_root': '/my/data', 'val_dataloader.dataset.ann_file': 'val.json', **option})
        fill_in(cfg)
        assert cfg.val_evaluator.ann_file == '/my/data/val.json'


@pytest.mark.parametrize('arch, width', [('resnet18', 32), ('lite0', None)])
def test_a_config_of_several_backbones_has_the_chosen_one(arch, width):
    cfg = config_of(CONFIGS / 'small/detector_bccd.py')
    cfg.merge_from_dict({'arch': arch, 'model.backbone.frozen_stages': 1})
    fill_in(cfg)
    fill_in(cfg)  # the table is gone: nothing changes
    assert 'archs' not in cfg and cfg.model.backbone.get('base_channels') == width
    assert cfg.model.backbone.frozen_stages == 1  # the user's, on top of the chosen one
    assert (cfg.model.data_preprocessor.mean == [127.5] * 3) == (arch == 'lite0')


def test_an_unknown_backbone_is_refused():
    cfg = config_of(CONFIGS / 'small/detector_bccd.py')
    cfg.arch = 'resnet19'
    with pytest.raises(ConfigError, match="arch is 'resnet19', expected one of resnet18, lite0"):
        fill_in(cfg)


def test_get_student_builds_the_chosen_backbone():
    student = mmlgd.get_student(str(CONFIGS / 'small/lgd_resnet18-half_tiny-imagenet.py'))
    assert student.base_channels == 32
