"""Checkpoints laid out as the published codes write them become ours; what has no place is named."""

import inspect
from typing import get_args

import pytest
import torch
import torchvision
from torch import nn

import mmlgd
from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.converters.published_code import BACKBONES, PIXELS
from mmlgd.errors import ConfigError

from .conftest import live

MODELS = dict(
    resnet18=(torchvision.models.resnet18, 'fc', 512), mobilenetv2=(torchvision.models.mobilenet_v2, 'classifier', 1280)
)


def test_the_help_lists_the_architectures_and_statistics():
    parameters = inspect.signature(mmlgd.convert).parameters
    for name, known in (('arch', BACKBONES), ('statistics', PIXELS)):
        choices, _ = get_args(parameters[name].annotation)  # or None
        assert list(get_args(choices)) == list(known)


@pytest.fixture(scope='module', params=MODELS)
def arch(request):
    return request.param


@pytest.fixture(scope='module')
def encoder(arch):
    build, head, width = MODELS[arch]
    torch.manual_seed(0)
    model = build(weights=None)
    setattr(model, head, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 24)))
    return live(model)


SEED = dict(queue=torch.zeros(24, 8), queue_ptr=torch.zeros(1))
CLIP_TEACHER = {'teacher.visual.conv1.weight': torch.zeros(1), 'teacher.layer1.0.conv1.weight': torch.zeros(1)}


def save(path, encoder, prefix='', more=(), wrap=True):
    state = {**{f'{prefix}{key}': value for key, value in encoder.state_dict().items()}, **dict(more)}
    torch.save(dict(epoch=200, arch='x', state_dict=state, optimizer={}) if wrap else state, path)
    return str(path)


def pixels(path):
    return mmlgd.checkpoints.model_config(read_checkpoint(path)).model.data_preprocessor.mean[0]


@pytest.mark.parametrize(
    'prefix, more, mean',
    [
        ('module.student.', {f'module.{key}': value for key, value in SEED.items()}, 123.675),
        ('student.', CLIP_TEACHER, 122.7709383),
        ('encoder_q.', {**SEED, 'encoder_k.layer1.0.conv1.weight': torch.zeros(1)}, 123.675),
        ('module.', {f'module.{key}': value for key, value in SEED.items()}, 123.675),
    ],
)
@torch.no_grad()
def test_student_and_projection(encoder, arch, prefix, more, mean, images, tmp_path):
    source = save(tmp_path / 'in.pth.tar', encoder, prefix, more)
    written = mmlgd.convert(source, tmp_path / 'out.pth', arch=arch)
    assert f'Dropped: {len(more)} of teacher and queue, 0 unknown' in written.notes[0]
    assert 'neck, 4 tensors' in written.content
    assert pixels(tmp_path / 'out.pth') == mean

    head = MODELS[arch][1]
    feats = mmlgd.get_student(tmp_path / 'out.pth')(images)
    state = read_checkpoint(tmp_path / 'out.pth')['state_dict']
    neck = mmlgd.models.ProjectionNeck(MODELS[arch][2], 24)
    neck.load_state_dict({key[len('neck.') :]: value for key, value in state.items() if key.startswith('neck.')})
    expected = nn.functional.normalize(encoder(images), dim=1)
    torch.testing.assert_close(neck(feats), expected, rtol=1e-4, atol=1e-5)
    assert head not in {key.split('.')[1] for key in state}


def test_a_bare_encoder_must_be_told_its_statistics(encoder, arch, tmp_path):
    source = save(tmp_path / 'in.pth', encoder, wrap=False)
    with pytest.raises(CheckpointError, match='neither a CLIP teacher nor a queue.*--statistics clip .* or imagenet'):
        mmlgd.convert(source, tmp_path / 'out.pth', arch=arch)
    assert not (tmp_path / 'out.pth').exists()
    mmlgd.convert(source, tmp_path / 'out.pth', arch=arch, statistics='clip')
    assert pixels(tmp_path / 'out.pth') == 122.7709383


def test_the_result_goes_on_to_the_other_converters(encoder, arch, tmp_path):
    mmlgd.convert(save(tmp_path / 'in.pth', encoder, 'module.student.', SEED), tmp_path / 'ours.pth', arch=arch)
    mmlgd.export(tmp_path / 'ours.pth', tmp_path / 'tv.pth', to='torchvision')
    for key, value in torch.load(tmp_path / 'tv.pth', weights_only=True).items():
        assert torch.equal(value, encoder.state_dict()[key])
    mmlgd.publish(tmp_path / 'ours.pth', tmp_path, name='seed')


def test_unknown_keys_are_named(encoder, arch, tmp_path):
    source = save(tmp_path / 'in.pth', encoder, 'student.', {**SEED, 'mystery.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r'has 1 keys that belong neither .*: mystery\.weight\. .*--drop-unknown'):
        mmlgd.convert(source, tmp_path / 'out.pth', arch=arch)
    assert not (tmp_path / 'out.pth').exists()
    written = mmlgd.convert(source, tmp_path / 'out.pth', arch=arch, drop_unknown=True)
    assert "1 unknown ['mystery.weight']" in written.notes[0]


def test_a_deeper_student_is_refused_also_without_its_unknown_keys(tmp_path):
    source = save(tmp_path / 'in.pth', live(torchvision.models.resnet34()), 'encoder_q.', SEED)
    with pytest.raises(
        CheckpointError, match=r'deeper student than resnet18: 96 .* first is encoder_q\.layer1\.2\.conv1'
    ):
        mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18', drop_unknown=True)
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    'layer, value, message',
    [
        (2, torch.ones(24, 7), r'in\.pth does not fit ProjectionNeck'),
        (0, torch.ones(512, 500), r'in\.pth does not fit ProjectionNeck.*\(512, 500\) instead of \(512, 512\)'),
        (2, torch.full((24, 512), torch.nan), 'NaN'),
    ],
)
def test_a_projection_that_cannot_be_built_is_refused(layer, value, message, tmp_path):
    model = torchvision.models.resnet18()
    model.fc = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 24))
    source = save(tmp_path / 'in.pth', model, 'student.', {**SEED, f'student.fc.{layer}.weight': value})
    with pytest.raises(CheckpointError, match=message):
        mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18')
    assert not (tmp_path / 'out.pth').exists()


def test_another_architecture_is_suggested(encoder, arch, tmp_path):
    other = next(name for name in MODELS if name != arch)
    source = save(tmp_path / 'in.pth', encoder, 'student.', SEED)
    with pytest.raises(CheckpointError, match=f'no student of the architecture {other}.*Try --arch {arch}'):
        mmlgd.convert(source, tmp_path / 'out.pth', arch=other)
    assert not (tmp_path / 'out.pth').exists()


def test_heads_of_one_layer_and_of_more(arch, tmp_path):
    build, head, width = MODELS[arch]
    model = build(weights=None)
    setattr(model, head, nn.Linear(width, 24))
    written = mmlgd.convert(save(tmp_path / 'in.pth', model, 'student.', SEED), tmp_path / 'out.pth', arch=arch)
    assert 'no neck: its head is one linear layer' in written.content
    setattr(model, head, nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.Linear(8, 24)))
    with pytest.raises(CheckpointError, match=rf'neither .*{head}\.'):
        mmlgd.convert(save(tmp_path / 'in.pth', model, 'student.', SEED), tmp_path / 'out.pth', arch=arch)


def test_two_students_need_a_prefix(tmp_path):
    model = torchvision.models.resnet18()
    both = {f'b.{key}': value for key, value in model.state_dict().items()}
    source = save(tmp_path / 'in.pth', model, 'a.', {**both, **SEED})
    with pytest.raises(CheckpointError, match=r'several prefixes: a\., b\.\. Name the student with --prefix'):
        mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18')
    mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18', prefix='b', drop_unknown=True)
    with pytest.raises(CheckpointError, match=r'has no c\.\* weights; it has a\.\* \(122\), b\.\* \(122\)'):
        mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18', prefix='c', drop_unknown=True)


def test_counters_of_batch_norm_may_be_missing(encoder, arch, tmp_path):
    state = {key: value for key, value in encoder.state_dict().items() if not key.endswith('num_batches_tracked')}
    torch.save(state, tmp_path / 'in.pth')
    written = mmlgd.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', arch=arch, statistics='clip')
    assert f'backbone, {len(encoder.state_dict()) - 4} tensors' in written.content


def test_tensors_under_another_name_are_not_found(encoder, arch, tmp_path):
    torch.save(dict(model=encoder.state_dict(), epoch=3), tmp_path / 'in.pth')
    with pytest.raises(CheckpointError, match=r"has no tensors by name.*it has \['model', 'epoch'\]"):
        mmlgd.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', arch=arch)


@pytest.mark.parametrize(
    'fault, message',
    [
        ('teacher', r'no student of the architecture resnet18.*outside encoder_k and teacher; it has teacher\.\*'),
        ('truncated', 'cut off.*copy it again'),
        ('incomplete', r'does not fit ResNet: of 120 keys, 1 missing \(layer4'),
        ('wider', r'conv1\.weight \(32, 3, 7, 7\) instead of \(64, 3, 7, 7\)'),
    ],
)
def test_bad_input_leaves_no_file(fault, message, tmp_path):
    model, prefix = torchvision.models.resnet18(), 'teacher.' if fault == 'teacher' else 'student.'
    if fault == 'wider':
        model.conv1 = nn.Conv2d(3, 32, 7, bias=False)
    if fault == 'incomplete':
        del model.layer4[1].conv2
    source = save(tmp_path / 'in.pth', model, prefix, SEED)
    if fault == 'truncated':
        (tmp_path / 'in.pth').write_bytes((tmp_path / 'in.pth').read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match=message):
        mmlgd.convert(source, tmp_path / 'out.pth', arch='resnet18')
    assert [path.name for path in tmp_path.iterdir()] == ['in.pth']


def test_a_checkpoint_of_ours_keeps_its_neck_and_banks(lgd_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match='one of ours.*mmlgd export'):
        mmlgd.convert(lgd_checkpoint, tmp_path / 'out.pth', arch='resnet18', drop_unknown=True)


@pytest.mark.parametrize(
    'options, message', [({}, 'arch is None.*resnet18'), (dict(arch='resnet18', statistics='x'), "is 'x'")]
)
def test_options_that_cannot_be_used(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        mmlgd.convert(tmp_path / 'in.pth', tmp_path / 'out.pth', **options)
