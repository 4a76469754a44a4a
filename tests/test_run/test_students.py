"""Names of students: what they stand for, and what the odd ones become in pre-training."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.evaluation.frozen import load_frozen
from mmlgd.registry import MODELS
from mmlgd.run.students import NAMED, list_students, student_settings
from tests import ROOT


def test_all_names_are_listed_without_an_import():
    code = (
        'import sys; from mmlgd.run.students import list_students\n'
        "print(len(list_students()), len({'torch', 'timm', 'mmpretrain'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT).stdout.split()
    assert int(told[0]) > 1000 and told[1] == '0'
    timm = pytest.importorskip('timm')
    names = list_students()
    assert names[:2] == list(NAMED) and names == list(dict.fromkeys(names))
    # Other tests register towers of their own.
    own = {name for name in timm.list_models() if timm.models.model_entrypoint(name).__module__.startswith('timm.')}
    assert {name.partition(':')[2] for name in names if name.startswith('timm:')} == own
    # An architecture of each kind that mmpretrain has.
    for kind in (
        'resnet50',
        'vit-base-p16',
        'swin-tiny',
        'convnext-tiny',
        'regnetx-400mf',
        'mobilenet-v3-small',
        'vgg16',
    ):
        assert f'mmpretrain:{kind}' in names
    assert list_students('mmpretrain:deit-t') == ['mmpretrain:deit-tiny', 'mmpretrain:deit-tiny-distilled']


def test_the_named_ones_are_those_of_our_configs():
    for name, settings in NAMED.items():
        file = ROOT / f'configs/_base_/models/lgd_{name}.py'
        assert Config.fromfile(file).model.backbone.to_dict() == settings == student_settings(name)


@pytest.mark.parametrize(
    'name, size, expected',
    [
        ('mmpretrain:regnetx-400mf', 224, dict(type='mmpretrain.RegNet', arch='regnetx_400mf')),
        ('mmpretrain:MobileNetV3', 64, dict(type='mmpretrain.MobileNetV3')),
        (
            'timm:vit_tiny_patch16_224',
            64,
            dict(type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224', img_size=64, dynamic_img_size=True),
        ),
        ('timm:vit_tiny_patch16_224', 224, dict(type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224')),
    ],
)
def test_settings(name, size, expected):
    assert student_settings(name, size) == expected


@pytest.mark.parametrize(
    'name, said',
    [
        ('resnet19', "no student 'resnet19'. Similar names: resnet18, timm:resnet18"),
        ('timm:vit_tiny_patch16', 'timm:vit_tiny_patch16_224'),
        ('timm:hf-hub:x/y', 'There is no student'),
        ('timm:local-dir:/x', 'There is no student'),
        ('mmpretrain:resnet', 'mmpretrain:resnet50'),
        ('mmpretrain:ResNet', "missing 1 required positional argument: 'depth'"),
        ('timm:swin_tiny_patch4_window7_224', 'Use mmpretrain.s model of this kind'),
        ('mmpretrain:swin-tiny', 'cannot be used with --size 64.*pad_small_map=True'),
        ('', 'There is no student'),
    ],
)
def test_a_name_that_is_none_is_refused_with_some_that_are(name, said):
    with pytest.raises(ConfigError, match=said):
        student_settings(name, 64)


UNUSUAL = ['timm:mobilenetv4_conv_small_035', 'mmpretrain:mobilenet-v3-small', 'timm:vit_tiny_patch16_224']


@pytest.mark.parametrize('name', UNUSUAL)
def test_an_unusual_student_is_trained_exported_and_evaluated(name, lgd_config, tmp_path):
    """The neck's width is found out; the student comes back from its checkpoint and fits the library that it is of."""
    timm = pytest.importorskip('timm')
    backbone = student_settings(name, 64)
    lgd_config.update(backbone=backbone, neck={})
    model = MODELS.build(lgd_config)
    assert model.training and model.neck.in_channels == model.neck.mlp[0].in_features
    optimizer = torch.optim.SGD([*model.backbone.parameters(), *model.neck.parameters()], lr=0.01)
    before = [p.clone() for p in model.backbone.parameters()]
    for seed in range(3):
        images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        loss = sum(model(images, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters())  # none is idle, which DDP would stop at
    assert any(not torch.equal(a, b) for a, b in zip(before, model.backbone.parameters()))
    config = Config(dict(default_scope='mmpretrain', model=lgd_config))
    file = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=model.state_dict()), file)
    model.eval()

    student = mmlgd.get_student(file)
    with torch.no_grad():
        expected = model.backbone(images)[-1]
        torch.testing.assert_close(student(images)[-1], expected)
        if name.startswith('timm:'):  # all of timm's model but the classifier, by its own names
            settings = {key: backbone[key] for key in backbone if key not in ('type', 'model_name')}
            plain = timm.create_model(backbone['model_name'], num_classes=0, global_pool='', **settings).eval()
            plain.load_state_dict(
                {key.removeprefix('timm_model.'): value for key, value in student.state_dict().items()}
            )
            torch.testing.assert_close(plain(images), expected)
        frozen = load_frozen(str(file))
        features, embeddings = frozen(images)
        assert features.shape == (4, model.neck.in_channels)
        torch.testing.assert_close(embeddings, model.embed(images))
    # As a file for others, which the exporter compares with the student in the library that is to use it.
    written = mmlgd.export(file, tmp_path / 'student.onnx', to='onnx', part='embedding', size=64)
    assert written.file.is_file() and written.difference < 1e-3
    target = 'timm' if name.startswith('timm:') else 'mmpretrain'
    assert mmlgd.export(file, tmp_path / 'student.pth', to=target).file.is_file()
