"""The size of a student's images: read out of the config of its training, and what each reader then shows it."""

import numpy as np
import pytest
import torch
from mmcv.transforms import CenterCrop
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.models.backbones import ResNet
from torch import Tensor

import mmlgd
from mmlgd.checkpoints import CheckpointError, model_config, read_checkpoint
from mmlgd.converters import onnx_file
from mmlgd.datasets import RandomResizedCrop
from mmlgd.evaluation import load_frozen
from mmlgd.student.backbone import get_student
from mmlgd.student.image_size import compare_sizes, compare_statistics, evaluation_pipeline, image_size, size_evaluation
from tests import ROOT

CONFIGS = ROOT / 'configs'
CROP = dict(type='mmpretrain.RandomResizedCrop', scale=64, crop_ratio_range=(0.2, 1.0))
PACK = dict(type='mmpretrain.PackInputs')
AS_THEY_ARE = [dict(type='LoadImageFromFile'), PACK]


def data(train=None, test=None):
    pipelines = dict(train_dataloader=train, test_dataloader=test)
    return {name: dict(dataset=dict(pipeline=steps)) for name, steps in pipelines.items() if steps}


@pytest.mark.parametrize(
    'steps, size',
    [
        ([dict(type='mmpretrain.torchvision/RandomResizedCrop', size=64, scale=(0.2, 1.0))], (64, 64)),
        ([dict(type='torchvision/RandomResizedCrop', size=[48, 96])], (48, 96)),
        ([CROP], (64, 64)),
        ([dict(CROP, scale=(48, 96))], (48, 96)),
        ([dict(type='mmlgd.RandomResizedCrop', scale=64)], (64, 64)),
        ([dict(type='Resize', scale=(96, 48), backend='pillow')], (48, 96)),  # mmcv has the width first
        ([dict(type='mmpretrain.ResizeEdge', scale=73), dict(type='CenterCrop', crop_size=64)], (64, 64)),
        ([dict(type='mmcv.transforms.processing.CenterCrop', crop_size=(96, 48))], (48, 96)),
        ([dict(type='mmpretrain.ResizeEdge', scale=64)], (64, 64)),
        ([CROP, dict(type='RandomApply', transforms=[dict(type='mmpretrain.RandomCrop', crop_size=32)])], (32, 32)),
        ([dict(type=RandomResizedCrop, scale=64)], (64, 64)),  # as a config of Python's style has it
        ([dict(type=CenterCrop, crop_size=(96, 48))], (48, 96)),
        (
            [dict(type='mmpretrain.Albumentations', transforms=[dict(type='RandomResizedCrop', height=48, width=96)])],
            (48, 96),
        ),
        ([CROP, dict(type='Pad', size_divisor=32)], (64, 64)),
        ([CROP, dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0)), PACK], (64, 64)),
    ],
)
def test_the_last_transform_that_sets_a_size_counts(steps, size):
    assert image_size(data(train=steps)) == size
    wrapped = dict(type='mmlgd.StoredTeacherDataset', store='store', dataset=dict(datasets=[dict(pipeline=steps)]))
    assert image_size(dict(train_dataloader=dict(dataset=wrapped))) == size


@pytest.mark.parametrize(
    'steps',
    [
        [dict(type='RandomFlip', prob=0.5), PACK],
        [CROP, dict(type='Resize', scale_factor=0.5)],
        [dict(type='RandomResize', scale=[(64, 64), (128, 128)])],
        [dict(type='RandomChoiceResize', scales=[(64, 64), (80, 80)])],
        [CROP, dict(type='Pad', pad_to_square=True)],
        [CROP, dict(type='Pad', size_divisor=48)],
        [dict(type='mmpretrain.ResizeEdge', scale=64), dict(type='Pad', size_divisor=32)],
    ],
)
def test_a_training_of_no_single_size_is_said(steps, said):
    assert image_size(data(train=steps)) == (224, 224)
    assert 'does not resize images to one size: 224 x 224 is used' in said[0] and '--size' in said[0]
    assert image_size({}) == (224, 224) and len(said) == 1


def test_other_statistics_than_those_of_training_are_said(lgd_checkpoint, tmp_path, said):
    content = read_checkpoint(lgd_checkpoint)
    config = Config(dict(model=dict(type='mmlgd.LGD')))
    compare_statistics(config, str(lgd_checkpoint))
    compare_statistics(config, 'none')
    assert not said
    compare_statistics(Config(dict(model=dict(type='EncoderDecoder'))), str(lgd_checkpoint))  # takes images as loaded
    assert 'this config has BGR, mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]' in said.pop()
    settings = Config.fromstring(content['meta']['cfg'], '.py')
    settings.model.data_preprocessor = dict(mean=[0.0] * 3, std=[255.0] * 3, to_rgb=False)
    content['meta']['cfg'] = settings.pretty_text
    torch.save(content, tmp_path / 'bgr.pth')
    compare_statistics(config, str(tmp_path / 'bgr.pth'))
    assert (
        'trained with images of BGR, mean [0.0, 0.0, 0.0]' in said[0]
        and 'this config has RGB, mean [123.675' in said[0]
    )
    config.model.data_preprocessor = dict(mean=[0] * 3, std=[255] * 3, bgr_to_rgb=False)  # as detectors have it
    compare_statistics(config, str(tmp_path / 'bgr.pth'))
    assert len(said) == 1


def test_where_nothing_else_says_a_size():
    assert image_size({}) == (224, 224)
    assert image_size(dict(model=dict(backbone=dict(type='mmpretrain.VisionTransformer', img_size=96)))) == (96, 96)


def test_an_evaluation_is_the_truth_and_one_that_does_not_resize_gets_the_size_of_training():
    resize = [dict(type='Resize', scale=(96, 96)), PACK]
    assert evaluation_pipeline(data([CROP], resize)) == resize and image_size(data([CROP], resize)) == (96, 96)
    steps = evaluation_pipeline(data([CROP], AS_THEY_ARE))
    assert [step['type'] for step in steps] == [
        *('LoadImageFromFile', 'mmpretrain.ResizeEdge', 'CenterCrop', 'mmpretrain.PackInputs')
    ]
    assert (steps[1]['scale'], steps[2]['crop_size']) == (64, (64, 64))  # an image of that size stays as it is
    steps = evaluation_pipeline(data([CROP]))
    assert (steps[0]['scale'], steps[1]['crop_size']) == (73, (64, 64))
    keeps = [dict(type='Resize', scale=(96, 96), keep_ratio=True), PACK]  # one side follows from the image
    assert evaluation_pipeline(data([CROP], keeps))[1]['crop_size'] == (96, 96)
    val = dict(val_dataloader=dict(dataset=dict(pipeline=resize)), **data([CROP]))
    assert image_size(val) == (96, 96)


@pytest.mark.parametrize(
    'config, message',
    [
        (data([dict(CROP, scale=10**9)]), 'scale=1000000000 .RandomResizedCrop.*expected 1 to 4096'),
        (data([dict(CROP, scale=0)]), 'expected 1 to 4096'),
        (data(['Resize']), 'train_dataloader.* is not a list of transforms'),
        (data(test=dict(type='Resize')), 'test_dataloader.* is not a list of transforms'),
        (dict(train_dataloader='x'), 'a str as train_dataloader'),
        (dict(train_dataloader=dict(dataset=dict(dataset=[1]))), 'a list as train_dataloader.dataset'),
    ],
)
def test_what_says_no_size_is_refused(config, message):
    with pytest.raises(CheckpointError, match=message):
        evaluation_pipeline(config)


@pytest.fixture(scope='module')
def student_of(lgd_checkpoint, tmp_path_factory):
    """A checkpoint of a student that was trained at some size, with or without an evaluation."""

    def student_of(size, test=None):
        content = torch.load(lgd_checkpoint, weights_only=True)
        settings = data([dict(CROP, scale=size), PACK], test)
        content['meta']['cfg'] += Config(settings).pretty_text
        path = tmp_path_factory.mktemp('student') / f'{size}.pth'
        torch.save(content, path)
        return str(path)

    return student_of


@pytest.fixture
def shown(monkeypatch):
    """Sizes of the images that any backbone is shown."""
    sizes, forward = [], ResNet.forward

    def spy(self, x: Tensor):
        sizes.append(tuple(x.shape[2:]))
        return forward(self, x)

    monkeypatch.setattr(ResNet, 'forward', spy)
    return sizes


@pytest.mark.parametrize('test', [None, AS_THEY_ARE], ids=['no evaluation', 'one that does not resize'])
def test_each_reader_shows_a_student_its_own_size(student_of, shown, images, tmp_path, monkeypatch, test):
    checkpoint = student_of(64, test)
    mmlgd.ZeroShotInferencer(checkpoint, device='cpu')(str(images))
    assert set(shown) == {(64, 64)}
    shown.clear()
    mmlgd.draw_neighbours(checkpoint, [str(images)], max_images=2, out=tmp_path / 'n.png')
    assert set(shown) == {(64, 64)}
    shown.clear()
    mmlgd.export(checkpoint, tmp_path / 'out.pth', to='mmpretrain')
    assert set(shown) == {(64, 64)}
    given = []
    monkeypatch.setattr(onnx_file, '_import_onnx', lambda: None)
    monkeypatch.setattr(onnx_file, '_write', lambda module, file, *settings: file.touch() or given.append(settings[2]))
    monkeypatch.setattr(onnx_file, '_compare', lambda *arguments: 0.0)
    mmlgd.export(checkpoint, tmp_path / 'out.onnx', to='onnx', part='embedding')
    mmlgd.export(checkpoint, tmp_path / 'out.onnx', to='onnx', part='embedding', size=96)
    assert given == [(64, 64), (96, 96)]
    published = mmlgd.publish(checkpoint, tmp_path, name='tiny').file
    assert image_size(model_config(read_checkpoint(published))) == (64, 64)


def test_the_demo_s_student_sees_what_its_run_evaluated():
    """Its run took the rendered 64 px as they are: at 224 px it is no better than chance."""
    (file,) = (CONFIGS.parent / 'zoo').glob('lgd_resnet18-tiny_demo_*.pth')
    config = model_config(read_checkpoint(file))
    assert image_size(config) == (64, 64)
    steps = [step for step in evaluation_pipeline(config) if step['type'] != 'LoadImageFromFile']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        prepare = Compose(steps)
    rng = np.random.default_rng(0)
    for shape, same in (((64, 64, 3), True), ((150, 100, 3), False)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        found = prepare(dict(img=image, img_shape=shape[:2], ori_shape=shape[:2]))['inputs']
        assert found.shape == (3, 64, 64)
        assert not same or np.array_equal(found.permute(1, 2, 0).numpy(), image)


@pytest.fixture
def said(monkeypatch):
    """What is logged."""
    texts = []
    monkeypatch.setattr('mmlgd.student.image_size.print_log', lambda text, *_: texts.append(text))
    return texts


def test_a_run_evaluates_at_the_size_of_its_training(tmp_path, said):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f"_base_ = r'{CONFIGS}/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'\n"
        'train_dataloader = dict(dataset=dict(size=64))\n'
    )

    def evaluation(base):
        file = tmp_path / 'mine.py'
        file.write_text(f"_base_ = [r'{recipe}', r'{CONFIGS}/_base_/datasets/{base}.py']\n")
        cfg = Config.fromfile(file)
        size_evaluation(cfg)
        return [cfg[f'{phase}_dataloader'].dataset.pipeline for phase in ('val', 'test')]

    for steps in evaluation('unlabelled_val'):
        assert [step['type'] for step in steps][0] == 'mmlgd.LoadImageFromFile'
        assert (steps[1].scale, steps[2].crop_size) == (73, (64, 64))
    assert not said
    assert [steps[2].crop_size for steps in evaluation('zero_shot_imagenet')] == [224, 224]  # the config says so
    assert len(said) == 1 and 'trains with images of 64 x 64 pixels and evaluates with 224 x 224' in said[0]


def test_a_frozen_student_at_another_size_is_told(student_of, said):
    config = Config.fromfile(CONFIGS / 'benchmarks/classification/zero-shot_in1k.py')
    compare_sizes(config, student_of(224))
    assert not said
    compare_sizes(config, student_of(64))
    assert 'images of 64 x 64 pixels; this config uses 224 x 224' in said[0]
    compare_sizes(Config(dict(model=dict(type='mmdet.ATSS'))), 'none')  # a detector has a size of its own
    assert len(said) == 1


@pytest.mark.parametrize(
    'config, size',
    [
        ('small/lgd_resnet18-half_images.py', 96),
        ('small/lgd_resnet18-half_tiny-imagenet.py', 64),
        ('lgd/lgd_resnet18_1xb256-coslr-100e_tiny-imagenet_conse.py', 96),
        ('lgd/lgd_resnet18_8xb256-coslr-90e_in1k.py', 224),
        ('lgd/lgd_resnet18_1xb256-coslr-200e_images_batched.py', 224),
        ('demo/lgd_resnet18-tiny_demo.py', 64),
    ],
)
def test_the_size_of_our_configs(config, size):
    assert image_size(Config.fromfile(CONFIGS / config)) == (size, size)


def test_broken_weights_are_refused_by_every_reader(lgd_checkpoint, tmp_path):
    for key, value in (('backbone.layer1.0.conv1.weight', float('nan')), ('neck.mlp.2.bias', float('inf'))):
        content = torch.load(lgd_checkpoint, weights_only=True)
        content['state_dict'][key].view(-1)[3] = value
        torch.save(content, tmp_path / 'broken.pth')
        readers = [mmlgd.get_zero_shot_classifier, mmlgd.ZeroShotInferencer, lambda path: load_frozen(str(path))]
        for reader in [get_student, *readers] if key.startswith('backbone') else readers:
            with pytest.raises(CheckpointError, match=f'NaN or infinite.*the first is {key.partition(".")[2]}'):
                reader(tmp_path / 'broken.pth')
    content = torch.load(lgd_checkpoint, weights_only=True)
    content['state_dict']['textual_bank.bank'][1, 2] = float('nan')
    torch.save(content, tmp_path / 'broken.pth')
    with pytest.raises(CheckpointError, match='NaN or infinite numbers in textual_bank.bank'):
        mmlgd.get_zero_shot_classifier(tmp_path / 'broken.pth')


@pytest.mark.parametrize('mean', ["'abc'", '5', '[[1]]', '[None]', '[1e999]', '[1, 2, 3, 4, 5]', "{'a': 1}"])
def test_statistics_that_are_none(mean, tmp_path):
    text = f'model=dict(backbone=dict(), neck=dict(), data_preprocessor=dict(mean={mean}))'
    torch.save(dict(meta=dict(cfg=text), state_dict={'backbone.x': torch.ones(2)}), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='expected a finite number for each channel'):
        compare_statistics(Config(dict(model=dict(type='mmlgd.KNNClassifier'))), str(tmp_path / 'a.pth'))
