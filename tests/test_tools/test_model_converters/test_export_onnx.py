"""An ONNX file gives what PyTorch gives, for any batch, and says how to prepare pictures."""

import json
import sys

import pytest
import torch

import mmlgd
from mmlgd.checkpoints import CheckpointError

from .conftest import FAULTS, STUDENTS

pytest.importorskip('onnx', reason='pip install "mmlgd[export]"')
onnxruntime = pytest.importorskip('onnxruntime', reason='pip install "mmlgd[export]"')


@pytest.fixture
def export(converter):
    return converter('export_onnx').main


def run(path, pictures):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    (output,) = session.run(None, dict(pictures=pictures.numpy()))
    return torch.from_numpy(output), session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize('arch', STUDENTS)
@pytest.mark.parametrize('part', ['backbone', 'embedding', 'zero-shot'])
@torch.no_grad()
def test_parts(export, students, arch, part, tmp_path):
    export([str(students[arch]), str(tmp_path / 'out.onnx'), '--part', part, '--input-size', '64'])
    assert [path.name for path in tmp_path.iterdir()] == ['out.onnx']
    classifier = mmlgd.get_zero_shot_classifier(students[arch])
    expected = {
        'backbone': lambda x: classifier.backbone(x)[-1],
        'embedding': lambda x: classifier.neck(classifier.backbone(x)),
        'zero-shot': classifier,
    }[part]
    for batch in (1, 3):
        pictures = torch.randn(batch, 3, 64, 64)
        output, metadata = run(tmp_path / 'out.onnx', pictures)
        torch.testing.assert_close(output, expected(pictures), rtol=1e-3, atol=1e-4 * output.abs().max().item())
    assert json.loads(metadata['mean']) == [123.675, 116.28, 103.53] and metadata['color_order'] == 'RGB'
    assert metadata['input_size'] == '64' and metadata['part'] == part
    names = json.loads(metadata['class_names']) if part == 'zero-shot' else None
    assert names == (['cat', 'dog', 'red panda'] if names else None)


@torch.no_grad()
def test_another_vocabulary(export, lgd_checkpoint, tiny_clip, tmp_path):
    (tmp_path / 'names.txt').write_text('boat\nKöln\n', encoding='utf-8')
    options = ['--vocabulary', str(tmp_path / 'names.txt'), '--templates', 'plain', '--input-size', '64']
    options += ['--teacher-options', f'model={tiny_clip}']
    export([str(lgd_checkpoint), str(tmp_path / 'out.onnx'), '--part', 'zero-shot', *options])
    pictures = torch.randn(2, 3, 64, 64)
    output, metadata = run(tmp_path / 'out.onnx', pictures)
    expected = mmlgd.get_zero_shot_classifier(lgd_checkpoint, ['boat', 'Köln'], 'plain', dict(model=tiny_clip))
    torch.testing.assert_close(output, expected(pictures), rtol=1e-3, atol=1e-5)
    assert json.loads(metadata['class_names']) == ['boat', 'Köln']


def test_names_without_a_classifier(export, lgd_checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit):
        export([str(lgd_checkpoint), str(tmp_path / 'out.onnx'), '--part', 'backbone', '--vocabulary', 'coco'])
    assert 'are for --part zero-shot' in capsys.readouterr().err


@pytest.mark.parametrize('fault, message', FAULTS)
def test_a_bad_checkpoint_leaves_no_file(export, bad_checkpoint, fault, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        export([str(bad_checkpoint(fault)), str(tmp_path / 'out.onnx'), '--part', 'embedding'])
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnxruntime_reads_otherwise_is_not_left(export, converter, lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(converter('export_onnx'), 'TOLERANCE', -1)
    with pytest.raises(CheckpointError, match='At batch 1, onnxruntime differs from PyTorch'):
        export([str(lgd_checkpoint), str(tmp_path / 'out.onnx'), '--part', 'embedding', '--input-size', '64'])
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(export, lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r'onnxruntime.*pip install "mmlgd\[export\]"'):
        export([str(lgd_checkpoint), str(tmp_path / 'out.onnx'), '--part', 'embedding'])
