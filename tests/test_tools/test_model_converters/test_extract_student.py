"""An extracted student gives its features in the other library, with that library alone; or there is no file."""

import copy
import runpy
import sys

import pytest
import torch
import torchvision
from mmengine.registry import MODELS as ROOT

import mmlgd
from mmlgd.checkpoints import CheckpointError

from .conftest import FAULTS, FOLDER, STUDENTS

TORCHVISION = dict(resnet18='resnet18', mobilenetv2='mobilenet_v2')
TIMM = dict(resnet18='resnet18', mobilenetv2='mobilenetv2_100')


@pytest.fixture
def extract(converter):
    return converter('extract_student').main


def close(ours, theirs):
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4 * ours.abs().max().item())


@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_torchvision(extract, students, arch, pictures, tmp_path, capsys):
    extract([str(students[arch]), str(tmp_path / 'out.pth'), '--to', 'torchvision'])
    assert 'is not in the file' in capsys.readouterr().out
    model = getattr(torchvision.models, TORCHVISION[arch])()
    missing, unexpected = model.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True), strict=False)
    assert not unexpected and all(key.startswith(('fc.', 'classifier.')) for key in missing) and len(missing) == 2
    setattr(model, missing[0].split('.')[0], torch.nn.Identity())
    (ours,) = mmlgd.get_student(students[arch])(pictures)
    close(ours.mean((2, 3)), model.eval()(pictures))


@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_timm(extract, students, arch, pictures, tmp_path):
    timm = pytest.importorskip('timm')
    extract([str(students[arch]), str(tmp_path / 'out.pth'), '--to', 'timm'])
    model = timm.create_model(TIMM[arch], num_classes=0)
    model.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True))
    (ours,) = mmlgd.get_student(students[arch])(pictures)
    close(ours, model.eval().forward_features(pictures))


@pytest.mark.parametrize('library', ['mmpretrain', 'mmdet', 'mmseg'])
@pytest.mark.parametrize('arch', STUDENTS)
@torch.no_grad()
def test_openmmlab(extract, students, arch, library, pictures, tmp_path, capsys):
    pytest.importorskip(library)
    out = tmp_path / 'out.pth'
    extract([str(students[arch]), str(out), '--to', library])
    printed = capsys.readouterr().out
    lacks_conv2 = (arch, library) == ('mobilenetv2', 'mmseg')
    assert ('conv2' in printed) == lacks_conv2 and ('pretrained=None' in printed) == (library == 'mmseg')
    # The very lines that it printed, as the config of a backbone.
    backbone = eval(printed.split('model = ')[1])['backbone']
    stages = tuple(range(4)) if arch == 'resnet18' else tuple(range(8 - lacks_conv2))
    model = ROOT.build(dict(backbone, type=f'{library}.{backbone["type"]}', out_indices=stages))
    model.init_weights()
    assert type(model).__module__.startswith(f'{library}.')
    for ours, theirs in zip(
        mmlgd.get_student(students[arch], out_indices=stages)(pictures), eval_mode(model)(pictures)
    ):
        close(ours, theirs)
    content = torch.load(out, weights_only=True)
    assert {f'backbone.{key}' for key in model.state_dict()} == set(content['state_dict'])
    assert content['meta'] == dict(
        mmlgd_version=mmlgd.__version__, teacher_id='open_clip/tiny', class_names=['cat', 'dog', 'red panda']
    )


def eval_mode(model):
    model.eval()  # some backbones return None from it
    return model


def test_a_deeper_and_a_narrower_student(extract, write_student, tmp_path):
    pytest.importorskip('timm')
    deep = write_student(dict(type='ResNet', depth=50))
    extract([str(deep), str(tmp_path / 'r50.pth'), '--to', 'torchvision'])
    torchvision.models.resnet50(num_classes=2).load_state_dict(
        torch.load(tmp_path / 'r50.pth', weights_only=True), strict=False
    )
    half = write_student(dict(type='mmpretrain.MobileNetV2', widen_factor=0.5))
    for library in ('torchvision', 'timm'):
        extract([str(half), str(tmp_path / f'{library}.pth'), '--to', library])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_timm_student(extract, write_student, pictures, tmp_path, capsys):
    timm = pytest.importorskip('timm')
    checkpoint = write_student(dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050'))
    extract([str(checkpoint), str(tmp_path / 'timm.pth'), '--to', 'timm'])
    model = timm.create_model('mobilenetv3_small_050', num_classes=0)
    keys = model.state_dict().keys()
    state = torch.load(tmp_path / 'timm.pth', weights_only=True)
    assert set(state) <= set(keys) and 'num_classes=0' in capsys.readouterr().out
    extract([str(checkpoint), str(tmp_path / 'mm.pth'), '--to', 'mmpretrain'])
    pytest.importorskip('mmdet')
    with pytest.raises(CheckpointError, match='timm model.*--to timm or --to mmpretrain'):
        extract([str(checkpoint), str(tmp_path / 'mmdet.pth'), '--to', 'mmdet'])


SWIN = dict(embed_dims=24, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2])


@pytest.mark.parametrize(
    'backbone', [dict(type='ShuffleNetV2', widen_factor=0.5), dict(type='SwinTransformer', arch=SWIN)]
)
def test_a_student_that_mmdet_has_not_or_builds_otherwise_goes_there_as_mmpretrains(
    extract, write_student, backbone, tmp_path, capsys
):
    pytest.importorskip('mmdet')
    checkpoint = write_student(backbone)
    extract([str(checkpoint), str(tmp_path / 'out.pth'), '--to', 'mmdet'])
    assert f"type='mmpretrain.{backbone['type']}'" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match=f'{backbone["type"]}. Supported: mmpretrain.ResNet .*--to mmpretrain'):
        extract([str(checkpoint), str(tmp_path / 'tv.pth'), '--to', 'torchvision'])
    assert [path.name for path in tmp_path.iterdir()] == ['out.pth']


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
def test_a_width_that_the_library_has_not(extract, lgd_checkpoint, write_student, library, tmp_path):
    pytest.importorskip(library)
    with pytest.raises(CheckpointError, match=f'base_channels=8; {library} has it with 64 only. Use --to mmpretrain'):
        extract([str(lgd_checkpoint), str(tmp_path / 'out.pth'), '--to', library])
    if library == 'timm':
        odd = write_student(dict(type='mmpretrain.MobileNetV2', widen_factor=0.6))
        with pytest.raises(CheckpointError, match=r'widen_factor=0.6; timm has \[0.35'):
            extract([str(odd), str(tmp_path / 'out.pth'), '--to', library])
    assert not list(tmp_path.iterdir())


def test_a_width_that_mmdet_has(extract, lgd_checkpoint, tmp_path, capsys):
    pytest.importorskip('mmdet')
    extract([str(lgd_checkpoint), str(tmp_path / 'out.pth'), '--to', 'mmdet'])
    assert "type='ResNet', base_channels=8, depth=18, stem_channels=8" in capsys.readouterr().out


@pytest.mark.parametrize('fault, message', FAULTS)
def test_a_bad_checkpoint_leaves_no_file(extract, bad_checkpoint, fault, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        extract([str(bad_checkpoint(fault)), str(tmp_path / 'out' / 'student.pth'), '--to', 'torchvision'])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'what, message',
    [
        ('eps', 'fits torchvision.ResNet by its names, but feature 0 differs by'),
        ('nan', r'NaN or infinite numbers in 1 of its \d+ ResNet tensors; the first is conv1.weight'),
    ],
)
def test_names_that_fit_are_not_enough(extract, write_student, students, what, message, tmp_path):
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
        extract([str(checkpoint), str(out), '--to', 'torchvision'])
    assert out.read_text() == 'an older file' and not list(tmp_path.glob('.*'))


def test_the_output_must_not_be_the_input_or_a_folder(extract, students, tmp_path):
    before = students['mobilenetv2'].read_bytes()
    with pytest.raises(ValueError, match='is the checkpoint that is read'):
        extract([str(students['mobilenetv2']), str(students['mobilenetv2']), '--to', 'mmpretrain'])
    with pytest.raises(ValueError, match='is a folder'):
        extract([str(students['mobilenetv2']), str(tmp_path), '--to', 'mmpretrain'])
    assert students['mobilenetv2'].read_bytes() == before


def test_a_script_ends_with_the_message_and_without_a_traceback(tmp_path, monkeypatch):
    script = str(FOLDER / 'extract_student.py')
    monkeypatch.setattr(sys, 'argv', [script, str(tmp_path / 'none.pth'), str(tmp_path / 'out.pth'), '--to', 'timm'])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(script, run_name='__main__')
    assert end.value.code == f'error: There is no checkpoint at {str(tmp_path / "none.pth")!r}.'


def test_a_library_that_is_not_installed(extract, students, tmp_path, monkeypatch):
    for library, advice in (('timm', 'pip install timm'), ('mmseg', 'openmmlab-dense')):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setitem(sys.modules, f'{library}.registry', None)
        with pytest.raises(ImportError, match=f'checked with {library} itself.*{advice}'):
            extract([str(students['resnet18']), str(tmp_path / 'out.pth'), '--to', library])
    assert not list(tmp_path.iterdir())
