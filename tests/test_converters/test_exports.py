"""An extracted student gives its features in the other library, with that library alone; or there is no file."""

import copy
import inspect
import sys
from importlib.util import find_spec
from typing import get_args

import pytest
import torch
import torchvision
from mmengine.registry import MODELS as ROOT

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.converters import conversions, exports, publishing
from mmlgd.errors import ConfigError

from .conftest import FAULTS, STUDENTS

TORCHVISION = dict(resnet18='resnet18', mobilenetv2='mobilenet_v2')
TIMM = dict(resnet18='resnet18', mobilenetv2='mobilenetv2_100')


def test_the_help_lists_the_targets():
    assert list(get_args(inspect.signature(mmlgd.export).parameters['to'].annotation)) == list(exports.targets())


def close(ours, theirs):
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4 * ours.abs().max().item())


@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_torchvision(students, arch, images, tmp_path):
    written = mmlgd.export(students[arch], tmp_path / 'out.pth', to='torchvision')
    assert 'is not in the file' in written.notes[0] and 0 <= written.difference < 1e-4
    model = getattr(torchvision.models, TORCHVISION[arch])()
    missing, unexpected = model.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True), strict=False)
    assert not unexpected and all(key.startswith(('fc.', 'classifier.')) for key in missing) and len(missing) == 2
    setattr(model, missing[0].split('.')[0], torch.nn.Identity())
    (ours,) = mmlgd.get_student(students[arch])(images)
    close(ours.mean((2, 3)), model.eval()(images))


@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_timm(students, arch, images, tmp_path):
    timm = pytest.importorskip('timm')
    mmlgd.export(students[arch], tmp_path / 'out.pth', to='timm')
    model = timm.create_model(TIMM[arch], num_classes=0)
    model.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True))
    (ours,) = mmlgd.get_student(students[arch])(images)
    close(ours, model.eval().forward_features(images))


@pytest.mark.parametrize('library', ['mmpretrain', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_openmmlab(students, arch, library, images, tmp_path):
    pytest.importorskip(library)
    out = tmp_path / 'out.pth'
    written = mmlgd.export(students[arch], out, to=library)
    lacks_conv2 = (arch, library) == ('mobilenetv2', 'mmseg')
    assert len(written.notes) == 1 + lacks_conv2 and 'RGB, mean [123.675' in written.notes[-1]
    assert ('pretrained=None' in written.usage) == (library == 'mmseg')
    # The very lines that it gives, as the config of a backbone.
    backbone = eval(written.usage.split('model = ')[1])['backbone']
    stages = tuple(range(4)) if arch == 'resnet18' else tuple(range(8 - lacks_conv2))
    model = ROOT.build(dict(backbone, type=f'{library}.{backbone["type"]}', out_indices=stages))
    model.init_weights()
    assert type(model).__module__.startswith(f'{library}.')
    for ours, theirs in zip(mmlgd.get_student(students[arch], out_indices=stages)(images), eval_mode(model)(images)):
        close(ours, theirs)
    content = torch.load(out, weights_only=True)
    assert {f'backbone.{key}' for key in model.state_dict()} == set(content['state_dict'])
    assert content['meta'] == dict(
        mmlgd_version=mmlgd.__version__, teacher_id='open_clip/tiny', class_names=['cat', 'dog', 'red panda']
    )


def eval_mode(model):
    model.eval()  # some backbones return None from it
    return model


def test_a_deeper_and_a_narrower_student(write_student, tmp_path):
    pytest.importorskip('timm')
    deep = write_student(dict(type='ResNet', depth=50))
    mmlgd.export(deep, tmp_path / 'r50.pth', to='torchvision')
    torchvision.models.resnet50(num_classes=2).load_state_dict(
        torch.load(tmp_path / 'r50.pth', weights_only=True), strict=False
    )
    half = write_student(dict(type='mmpretrain.MobileNetV2', widen_factor=0.5))
    for library in ('torchvision', 'timm'):
        mmlgd.export(half, tmp_path / f'{library}.pth', to=library)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_timm_student_of_stages(write_student, tmp_path):
    timm = pytest.importorskip('timm')
    kind = dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050', features_only=True)
    checkpoint = write_student(dict(kind, out_indices=(3, 4)))
    written = mmlgd.export(checkpoint, tmp_path / 'timm.pth', to='timm')
    assert 'features_only=True, out_indices=(3, 4)' in written.usage
    model = timm.create_model('mobilenetv3_small_050', features_only=True, out_indices=(3, 4))
    model.load_state_dict(torch.load(tmp_path / 'timm.pth', weights_only=True))
    images = torch.randn(2, 3, 64, 64)
    theirs = mmlgd.get_student(checkpoint)(images)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(model.eval()(images), theirs)) and len(theirs) == 2


def test_the_config_of_a_timm_student_has_its_stages(write_student, tmp_path):
    pytest.importorskip('timm')
    kind = dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050', features_only=True)
    written = mmlgd.export(write_student(dict(kind, out_indices=(1, 2))), tmp_path / 'out.pth', to='mmpretrain')
    assert eval(written.usage.split('model = ')[1])['backbone']['out_indices'] == (1, 2)


@torch.no_grad()
def test_a_shorter_student_keeps_its_number_of_stages(write_student, images, tmp_path):
    kind = dict(type='mmpretrain.ResNet', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))
    checkpoint = write_student(dict(kind, base_channels=8, stem_channels=8))
    written = mmlgd.export(checkpoint, tmp_path / 'out.pth', to='mmpretrain')
    model = ROOT.build(dict(eval(written.usage.split('model = ')[1])['backbone'], _scope_='mmpretrain'))
    model.init_weights()
    close(mmlgd.get_student(checkpoint)(images)[-1], eval_mode(model)(images)[-1])


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
@pytest.mark.parametrize('arch', STUDENTS)
def test_a_student_of_early_stages_is_written_whole(write_student, arch, library, tmp_path):
    pytest.importorskip(library)
    checkpoint = write_student(dict(STUDENTS[arch][0], out_indices=(1, 2)))
    written = mmlgd.export(checkpoint, tmp_path / 'out.pth', to=library)
    assert written.difference < 1e-4


def test_a_timm_student(write_student, tmp_path):
    timm = pytest.importorskip('timm')
    checkpoint = write_student(dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050'))
    written = mmlgd.export(checkpoint, tmp_path / 'timm.pth', to='timm')
    model = timm.create_model('mobilenetv3_small_050', num_classes=0)
    keys = model.state_dict().keys()
    state = torch.load(tmp_path / 'timm.pth', weights_only=True)
    assert set(state) <= set(keys) and 'num_classes=0' in written.usage
    mmlgd.export(checkpoint, tmp_path / 'mm.pth', to='mmpretrain')
    for library in ('torchvision', 'mmdet'):
        pytest.importorskip(library)
        with pytest.raises(CheckpointError, match='Use --to timm or --to mmpretrain'):
            mmlgd.export(checkpoint, tmp_path / f'{library}.pth', to=library)


SWIN = dict(arch=dict(embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2]), pad_small_map=True)


@pytest.mark.parametrize(
    'backbone',
    [dict(type='ShuffleNetV2', widen_factor=0.5), dict(type='SwinTransformer', **SWIN)],
)
def test_students_that_mmdet_lacks_are_written_as_mmpretrain_backbones(write_student, backbone, tmp_path):
    pytest.importorskip('mmdet')
    checkpoint = write_student(backbone)
    written = mmlgd.export(checkpoint, tmp_path / 'out.pth', to='mmdet')
    assert f"type='mmpretrain.{backbone['type']}'" in written.usage
    with pytest.raises(CheckpointError, match=f'{backbone["type"]}. Supported: mmpretrain.ResNet .*--to mmpretrain'):
        mmlgd.export(checkpoint, tmp_path / 'tv.pth', to='torchvision')
    assert [path.name for path in tmp_path.iterdir()] == ['out.pth']


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
def test_a_width_that_the_library_lacks_is_refused(lgd_checkpoint, write_student, library, tmp_path):
    pytest.importorskip(library)
    with pytest.raises(CheckpointError, match=f'base_channels=8; {library} has it with 64 only. Use --to mmpretrain'):
        mmlgd.export(lgd_checkpoint, tmp_path / 'out.pth', to=library)
    if library == 'timm':
        odd = write_student(dict(type='mmpretrain.MobileNetV2', widen_factor=0.6))
        with pytest.raises(CheckpointError, match=r'widen_factor=0.6; timm has \[0.35'):
            mmlgd.export(odd, tmp_path / 'out.pth', to=library)
    assert not list(tmp_path.iterdir())


def test_a_width_that_mmdet_has(lgd_checkpoint, tmp_path):
    pytest.importorskip('mmdet')
    written = mmlgd.export(lgd_checkpoint, tmp_path / 'out.pth', to='mmdet')
    assert "type='ResNet', base_channels=8, depth=18, stem_channels=8" in written.usage


@pytest.mark.parametrize('fault, message', FAULTS)
def test_a_bad_checkpoint_leaves_no_file(bad_checkpoint, fault, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        mmlgd.export(bad_checkpoint(fault), tmp_path / 'out' / 'student.pth', to='torchvision')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'what, message',
    [
        ('eps', 'has the keys of torchvision.ResNet, but feature 0 differs by'),
        ('nan', r'NaN or infinite numbers in 1 of its \d+ ResNet tensors; the first is conv1.weight'),
    ],
)
def test_equal_key_names_with_other_features_are_refused(write_student, students, what, message, tmp_path):
    backbone = copy.deepcopy(STUDENTS['resnet18'][0])
    checkpoint = students['resnet18']
    if what == 'eps':
        checkpoint = write_student(dict(backbone, norm_cfg=dict(type='BN', eps=0.1)))
    else:
        content = torch.load(checkpoint, weights_only=True)
        content['state_dict']['backbone.conv1.weight'][0] = float('nan')
        checkpoint = tmp_path / 'nan.pth'
        torch.save(content, checkpoint)
    out = tmp_path / 'out.pth'
    out.write_text('an older file')
    with pytest.raises(CheckpointError, match=message):
        mmlgd.export(checkpoint, out, to='torchvision')
    assert out.read_text() == 'an older file' and not list(tmp_path.glob('.*'))


def test_the_output_must_not_be_the_input_or_a_folder(students, tmp_path):
    before = students['mobilenetv2'].read_bytes()
    with pytest.raises(ValueError, match='the input checkpoint'):
        mmlgd.export(students['mobilenetv2'], students['mobilenetv2'], to='mmpretrain')
    with pytest.raises(ValueError, match='is a folder'):
        mmlgd.export(students['mobilenetv2'], tmp_path, to='mmpretrain')
    assert students['mobilenetv2'].read_bytes() == before


@pytest.mark.parametrize(
    'to, options, message',
    [
        ('keras', {}, "goes to onnx, torchvision, timm, mmpretrain, mmdet or mmseg, got 'keras'"),
        ('timm', dict(part='backbone'), 'target timm has no option part; only onnx'),
        ('mmdet', dict(size=64), 'target mmdet has no option size; only onnx'),
    ],
)
def test_a_target_and_its_options(to, options, message, students, tmp_path):
    with pytest.raises(ConfigError, match=message):
        mmlgd.export(students['resnet18'], tmp_path / 'out.pth', to=to, **options)


def test_the_room_does_not_take_the_place_of_the_function():
    for module, name in ((exports, 'export'), (publishing, 'publish'), (conversions, 'convert')):
        assert getattr(mmlgd, name) is getattr(module, name)
        assert find_spec(f'mmlgd.{name}') is None


def test_a_library_that_is_not_installed(students, tmp_path, monkeypatch):
    for library, advice in (('timm', 'pip install timm'), ('mmseg', 'openmmlab-dense')):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setitem(sys.modules, f'{library}.registry', None)
        with pytest.raises(ImportError, match=f'checked with {library} itself.*{advice}'):
            mmlgd.export(students['resnet18'], tmp_path / 'out.pth', to=library)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('target', ['onnx', 'timm', 'mmpretrain'])
def test_the_lines_that_use_a_file_can_be_copied_whatever_its_name(write_student, target, tmp_path):
    pytest.importorskip('onnxruntime' if target == 'onnx' else target)
    out = tmp_path / "it's mine.pth"
    kind = dict(type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,))
    usage = mmlgd.export(write_student(kind), out, to=target).usage
    compile(usage, 'usage', 'exec')
    assert repr(str(out)) in usage
