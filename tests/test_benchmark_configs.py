"""Every detection and segmentation config takes a pre-trained student whole, as it was pre-trained, and learns."""

import re

import pytest
import torch
from mmengine.registry import DATASETS, DefaultScope, init_default_scope
from mmengine.structures import PixelData
from mmengine.utils.dl_utils.parrots_wrapper import SyncBatchNorm, _BatchNorm
from torch import nn

from mmlgd.checkpoints import part_weights
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import fill_in
from mmlgd.errors import MissingFileError
from mmlgd.registry import MODELS
from tests import ROOT
from tests.our_configs import config_of

CONFIGS = ROOT / 'configs'
DETECTION = sorted((CONFIGS / 'benchmarks/mmdet').glob('*.py'))
SEGMENTATION = sorted((CONFIGS / 'benchmarks/mmseg').glob('*.py'))
STUDENTS = ('resnet18', 'mobilenetv2')
PUBLISHED = 'mask-rcnn_resnet18_fpn_2xb2-1x_coco'  # it freezes a part of the student
NAMES = ['cat', 'dog', 'red panda']  # of one's own data
PRETRAINING = config_of(CONFIGS / '_base_/models/lgd_resnet18.py').model


def every_config(paths):
    return pytest.mark.parametrize('path', paths, ids=lambda p: p.stem)


@pytest.fixture
def config(path):
    """A copy of the config, in its library's scope, as a run has it."""
    pytest.importorskip(path.parent.name)
    before = DefaultScope.get_current_instance()
    cfg = config_of(path)
    if 'names' in cfg:  # of one's own data
        cfg.names = NAMES
    fill_in(cfg)
    init_default_scope(cfg.default_scope)
    yield cfg
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='session')
def students(tmp_path_factory):
    """Checkpoints of the two students as the pre-training configs build them, with random weights and statistics."""
    folder, made = tmp_path_factory.mktemp('students'), {}
    for name in STUDENTS:
        settings = config_of(CONFIGS / f'_base_/models/lgd_{name}.py').model.backbone
        backbone = MODELS.build(settings)
        state = {
            f'backbone.{key}': value + 0.1 * torch.rand_like(value) if value.is_floating_point() else value
            for key, value in backbone.state_dict().items()
        }
        state['neck.fc.weight'] = torch.zeros(1)
        torch.save(dict(meta=dict(epoch=90), state_dict=state), folder / f'{name}.pth')
        made[name] = (backbone, folder / f'{name}.pth', part_weights(state, 'backbone'))
    return made


def student_of(path):
    return re.search('|'.join(STUDENTS), path.stem)[0]


def test_both_students_have_every_recipe():
    detectors = {
        'mask-rcnn_{}_fpn_1x_coco',
        'mask-rcnn_{}_fpn_sample1e-3_ms-1x_lvis-v1',
        'retinanet_{}_fpn_1x_coco',
        'rtmdet-tiny_{}_8xb32-300e_coco',
        'faster-rcnn_{}_fpn_1xb8-60e_coco-format',
    }
    segmentors = {
        f'{head}_{{}}_{data}'
        for head in ('fcn', 'deeplabv3plus', 'segformer')
        for data in ('4xb4-160k_ade20k-512x512', '4xb2-80k_cityscapes-512x1024')
    } | {'deeplabv3plus_{}_1xb8-8k_masks-512x512'}
    for paths, recipes in ((DETECTION, detectors), (SEGMENTATION, segmentors)):
        assert {path.stem for path in paths} - {PUBLISHED} == {
            name.format(student) for name in recipes for student in STUDENTS
        }


def test_the_published_detection_run_on_coco():
    pytest.importorskip('mmdet')
    published, ours = (
        config_of(CONFIGS / f'benchmarks/mmdet/{name}.py') for name in (PUBLISHED, 'mask-rcnn_resnet18_fpn_1x_coco')
    )
    backbone = published.model.backbone
    assert (backbone.frozen_stages, backbone.norm_eval, backbone.norm_cfg.type) == (1, True, 'BN')
    assert published.train_dataloader.batch_size == 2 and published.auto_scale_lr.base_batch_size == 2 * 2
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'val_evaluator'):
        assert published[key] == ours[key]
    assert published.train_cfg.max_epochs == 12 and published.train_cfg.val_interval == 1


def test_lvis_is_evaluated_once_at_the_end():
    pytest.importorskip('mmdet')
    for student in STUDENTS:
        cfg = config_of(CONFIGS / f'benchmarks/mmdet/mask-rcnn_{student}_fpn_sample1e-3_ms-1x_lvis-v1.py')
        assert cfg.train_cfg.val_interval == cfg.train_cfg.max_epochs == 12


def test_the_published_detection_recipe():
    pytest.importorskip('mmdet')
    for name in ('1x_coco', 'sample1e-3_ms-1x_lvis-v1'):
        cfg = config_of(CONFIGS / f'benchmarks/mmdet/mask-rcnn_mobilenetv2_fpn_{name}.py')
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 2e-4, 1e-4)
        assert 'momentum' not in optimizer
        assert cfg.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
        assert cfg.optim_wrapper.clip_grad.max_norm == 0.1
        assert cfg.train_dataloader.batch_size == 2 and cfg.auto_scale_lr.base_batch_size == 16
        assert cfg.train_cfg.max_epochs == 12
    assert cfg.train_dataloader.dataset.oversample_thr == 1e-3
    (resize,) = (t for t in cfg.train_dataloader.dataset.dataset.pipeline if t['type'] == 'RandomChoiceResize')
    assert [edge for _, edge in resize['scales']] == [640, 672, 704, 736, 768, 800]


@every_config(SEGMENTATION)
def test_a_segmentation_config_is_what_its_name_says(path):
    pytest.importorskip('mmseg')
    name = r'[a-z0-9]+_[a-z0-9]+_(\d)xb(\d)-(\d+)k_[a-z0-9]+-(\d+)x(\d+)'
    cards, batch, steps, height, width = map(int, re.fullmatch(name, path.stem).groups())
    cfg = config_of(path)
    if 'names' in cfg:  # of one's own data
        cfg.names = NAMES
    fill_in(cfg)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == cards * batch
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 1000 * steps
    (crop,) = (t.crop_size for t in cfg.train_dataloader.dataset.pipeline if t.type.endswith('RandomCrop'))
    assert tuple(crop) == tuple(cfg.model.data_preprocessor.size) == (height, width)


@every_config(DETECTION + SEGMENTATION)
def test_images_checks_and_the_start(path, config):
    images, trained = config.model.data_preprocessor, PRETRAINING.data_preprocessor
    assert (images.mean, images.std, images.bgr_to_rgb) == (trained.mean, trained.std, trained.to_rgb)
    assert config.custom_imports == dict(imports=['mmlgd'], allow_failed_imports=False)
    assert {'mmlgd.PretrainedCheckHook', 'mmlgd.AnnotationCheckHook'} <= {
        hook.type for hook in config.default_hooks.values()
    }
    start = config.model.backbone.init_cfg
    assert start.type == 'Pretrained' and start.prefix == 'backbone.'
    # It names a checkpoint that one of our pre-training configs writes, of this student and at its last epoch.
    recipe, epoch = re.fullmatch(r'work_dirs/(.+)/epoch_(\d+)\.pth', start.checkpoint).groups()
    assert student_of(path) in recipe and f'{epoch}e_' in recipe and (CONFIGS / f'lgd/{recipe}.py').is_file()
    with pytest.raises(MissingFileError, match='the start of model.backbone'):  # here it was not written
        start_from(config)
    assert config.model.backbone.init_cfg == start
    start.checkpoint = None
    start_from(config)
    assert 'init_cfg' not in config.model.backbone and not config.model.get('pretrained')


def class_names(config):
    dataset = config.train_dataloader.dataset
    dataset = dataset.get('dataset', dataset)
    if 'metainfo' in dataset:
        return dataset.metainfo.classes
    name = dataset.type if '.' in dataset.type else f'{config.default_scope}.{dataset.type}'
    return DATASETS.get(name).METAINFO['classes']


@every_config(DETECTION + SEGMENTATION)
def test_a_student_is_loaded_whole_and_learns(path, config, students):
    trained, checkpoint, weights = students[student_of(path)]
    if 'rcnn' in config.model.get('train_cfg', {}):
        config.model.train_cfg.rcnn.sampler.num = 16  # of 512 boxes
    start_from(config, str(checkpoint))
    assert config.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=str(checkpoint), prefix='backbone.')
    model = MODELS.build(config.model)
    backbone = model.backbone
    backbone.init_weights()  # by mmengine's loader; equality below means that nothing was missing or left over
    assert weights.keys() == backbone.state_dict().keys()
    assert all(torch.equal(value, weights[key]) for key, value in backbone.state_dict().items())
    assert like_in_pretraining(backbone) == like_in_pretraining(trained)

    model.train()
    norms = [module for module in backbone.modules() if isinstance(module, (_BatchNorm, SyncBatchNorm))]
    published = path.stem == PUBLISHED
    assert norms and all(norm.training is not published for norm in norms)
    frozen = [name for name, weight in backbone.named_parameters() if not weight.requires_grad]
    assert {name.split('.')[0] for name in frozen} == ({'conv1', 'bn1', 'layer1'} if published else set())
    assert heads_of(model) == {len(class_names(config))}

    losses = losses_of(model, config.default_scope, len(class_names(config)))
    assert torch.isfinite(losses)
    losses.backward()
    # A weight without a gradient is an error in distributed training.
    assert all(weight.grad is not None for name, weight in backbone.named_parameters() if name not in frozen)


def like_in_pretraining(backbone):
    """What a weight means depends on: activations and normalisation, in their order."""
    return [
        (type(module).__name__ if isinstance(module, (nn.ReLU, nn.ReLU6)) else 'norm', getattr(module, 'eps', None))
        for module in backbone.modules()
        if isinstance(module, (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.LeakyReLU, nn.SiLU, _BatchNorm, SyncBatchNorm))
    ]


def heads_of(model):
    return {m.num_classes for n, m in model.named_modules() if hasattr(m, 'num_classes') and not n.endswith('rpn_head')}


def losses_of(model, library, num_classes, size=64):
    torch.manual_seed(0)
    if library == 'mmdet':
        from mmdet.testing import demo_mm_inputs

        data = demo_mm_inputs(2, (3, size, size), num_items=[3, 2], num_classes=num_classes, with_mask=model.with_mask)
    else:
        from mmseg.structures import SegDataSample

        masks = torch.randint(0, num_classes, (2, 1, size, size))
        data = dict(
            inputs=list(torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)),
            data_samples=[SegDataSample(gt_sem_seg=PixelData(data=mask)) for mask in masks],
        )
        # Crops are padded to it.
        model.data_preprocessor.size, model.data_preprocessor.size_divisor = (size, size), None
    data = model.data_preprocessor(data, True)
    return model.parse_losses(model(**data, mode='loss'))[0]
