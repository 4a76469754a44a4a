"""An ONNX file gives what PyTorch gives, for any batch, and says how to prepare images."""

import json
import sys

import pytest
import torch

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.converters import onnx_file
from mmlgd.errors import ConfigError

from .conftest import FAULTS

onnx = pytest.importorskip('onnx', reason='pip install "mmlgd[export]"')
onnxruntime = pytest.importorskip('onnxruntime', reason='pip install "mmlgd[export]"')

NARROW = dict(
    resnet=(dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,)), 64),
    mobilenetv2=(dict(type='mmpretrain.MobileNetV2', widen_factor=0.25, out_indices=(7,)), 1280),
)


def run(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    (output,) = session.run(None, dict(images=images.numpy()))
    return torch.from_numpy(output), session.get_modelmeta().custom_metadata_map


@pytest.fixture(scope='module', params=NARROW)
def checkpoint(request, write_student):
    return write_student(*NARROW[request.param])


@pytest.mark.parametrize('part', ['backbone', 'embedding', 'zero-shot'])
@torch.no_grad()
def test_parts(checkpoint, part, tmp_path):
    written = mmlgd.export(checkpoint, tmp_path / 'out.onnx', to='onnx', part=part, size=64)
    assert [path.name for path in tmp_path.iterdir()] == ['out.onnx']
    assert written.file == tmp_path / 'out.onnx' and 0 <= written.difference < 1e-4
    assert '(N, 3, 64, 64)' in written.content and 'dict(images=images)' in written.usage
    classifier = mmlgd.get_zero_shot_classifier(checkpoint)
    expected = {
        'backbone': lambda x: classifier.backbone(x)[-1],
        'embedding': lambda x: classifier.neck(classifier.backbone(x)),
        'zero-shot': classifier,
    }[part]
    for batch in (1, 3):
        images = torch.randn(batch, 3, 64, 64)
        output, metadata = run(tmp_path / 'out.onnx', images)
        torch.testing.assert_close(output, expected(images), rtol=1e-3, atol=1e-4 * output.abs().max().item())
    assert json.loads(metadata['mean']) == [123.675, 116.28, 103.53] and metadata['color_order'] == 'RGB'
    assert metadata['input_size'] == '64' and metadata['part'] == part
    names = json.loads(metadata['class_names']) if part == 'zero-shot' else None
    assert names == (['cat', 'dog', 'red panda'] if names else None)


@pytest.mark.parametrize('place', ['beside', 'inside'])
def test_the_file_says_how_the_student_takes_pixels(write_student, place, tmp_path):
    own = dict(type='mmpretrain.SelfSupDataPreprocessor', mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], bgr_to_rgb=True)
    given = dict(data_preprocessor=own) if place == 'inside' else dict(beside=dict(data_preprocessor=own))
    written = mmlgd.export(write_student(NARROW['resnet'][0], **given), tmp_path / 'out.onnx', to='onnx')
    _, metadata = run(written.file, torch.randn(1, 3, 64, 64))
    told = [metadata['color_order'], json.loads(metadata['mean']), json.loads(metadata['std'])]
    assert told == ['RGB', own['mean'], own['std']]


@torch.no_grad()
def test_another_vocabulary(lgd_checkpoint, tiny_clip, tmp_path):
    (tmp_path / 'names.txt').write_text('boat\nKöln\n', encoding='utf-8')
    options = dict(names=str(tmp_path / 'names.txt'), templates='plain', teacher_options=dict(model=tiny_clip))
    mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part='zero-shot', size=64, **options)
    images = torch.randn(2, 3, 64, 64)
    output, metadata = run(tmp_path / 'out.onnx', images)
    expected = mmlgd.get_zero_shot_classifier(lgd_checkpoint, ['boat', 'Köln'], 'plain', dict(model=tiny_clip))
    torch.testing.assert_close(output, expected(images), rtol=1e-3, atol=1e-5)
    assert json.loads(metadata['class_names']) == ['boat', 'Köln']


@torch.no_grad()
def test_segmentation_takes_images_of_any_size(lgd_checkpoint, tiny_clip, tmp_path):
    options = dict(names=['boat', 'red hen|hen', 'sky'], teacher_options=dict(model=tiny_clip))
    written = mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part='segmentation', size=64, **options)
    assert 'H, W in steps of 32, 32' in written.content
    student = mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip)).with_names(options['names'])
    for shape in ((1, 3, 224, 224), (2, 3, 256, 352)):
        images = torch.randn(*shape)
        output, metadata = run(tmp_path / 'out.onnx', images)
        expected = torch.stack([one.scores for one in student.segment(images, scores=True, size=shape[2])])
        torch.testing.assert_close(output, expected, rtol=1e-3, atol=1e-4)
    assert json.loads(metadata['class_names']) == options['names'] and metadata['part'] == 'segmentation'


@torch.no_grad()
@pytest.mark.parametrize('given, written', [(112, 128), (72, 64), (8, 32)])
def test_the_size_of_segmentation_is_in_whole_places(lgd_checkpoint, given, written, tmp_path):
    mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part='segmentation', size=given)
    output, metadata = run(tmp_path / 'out.onnx', images := torch.randn(1, 3, written, written))
    assert metadata['input_size'] == str(written)
    (expected,) = mmlgd.Student(lgd_checkpoint, device='cpu').segment(images, scores=True, size=given)
    torch.testing.assert_close(output[0], expected.scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('part', ['backbone', 'zero-shot'])
def test_a_size_that_the_student_does_not_take_is_named(write_student, part, tmp_path):
    pytest.importorskip('timm')
    vit = dict(type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224', img_size=64, depth=1)
    with pytest.raises(ConfigError, match=r"no images of 48 x 48 pixels: .* doesn't match .* its training is 64 x 64"):
        mmlgd.export(write_student(vit, 192), tmp_path / 'out.onnx', to='onnx', part=part, size=48)
    assert not list(tmp_path.iterdir())


@torch.no_grad()
def test_segmentation_of_a_transformer_keeps_the_size_of_its_tokens(write_student, tmp_path):
    small = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)
    vit = dict(type='mmpretrain.VisionTransformer', arch=small, img_size=64, patch_size=16, out_type='raw')
    checkpoint = write_student(vit, 16)
    mmlgd.export(checkpoint, tmp_path / 'out.onnx', to='onnx', part='segmentation', size=64)
    images = torch.randn(2, 3, 64, 64)
    output, _ = run(tmp_path / 'out.onnx', images)
    expected = [one.scores for one in mmlgd.Student(checkpoint, device='cpu').segment(images, scores=True, size=64)]
    torch.testing.assert_close(output, torch.stack(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('part', onnx_file.OUTPUTS)
def test_the_first_version_of_the_operators(lgd_checkpoint, part, tmp_path):
    first = onnx_file.FIRST_OPSET[part]
    mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part=part, size=32, opset=first)
    assert onnx.load(tmp_path / 'out.onnx').opset_import[0].version == first


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(part='backbone', names='coco'), 'are for the part zero-shot or segmentation'),
        (dict(teacher_options=dict(pretrained='x')), 'teacher_options are for the part .*; backbone has no'),
        (dict(part='head'), "part is 'head', expected one of backbone, embedding, zero-shot, segmentation"),
        (dict(size=0), 'pixels from 1 to 4096'),
        (dict(opset=999), 'operators, from 8 to 20'),
        (dict(opset=7), 'opset'),
        (dict(opset=10, part='segmentation'), 'operators, from 11 to 20'),
    ],
)
def test_options_that_cannot_be_used(lgd_checkpoint, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('fault, message', FAULTS)
def test_a_bad_checkpoint_leaves_no_file(bad_checkpoint, fault, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        mmlgd.export(bad_checkpoint(fault), tmp_path / 'out.onnx', to='onnx', part='embedding')
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnxruntime_reads_otherwise_is_not_left(lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, 'TOLERANCE', -1)
    with pytest.raises(CheckpointError, match='At batch 1, onnxruntime differs from PyTorch'):
        mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part='embedding', size=64)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r'onnxruntime.*pip install "mmlgd\[export\]"'):
        mmlgd.export(lgd_checkpoint, tmp_path / 'out.onnx', to='onnx', part='embedding')
