"""The verbs export, publish and convert, and the scripts that had their place."""

import runpy
import sys

import pytest
import torch
from click.testing import CliRunner

from mmlgd.checkpoints import read_checkpoint
from mmlgd.cli.__main__ import main
from tests import ROOT

SCRIPTS = ROOT / 'tools/model_converters'

pytestmark = pytest.mark.usefixtures('loads_safely')


def call(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


def test_publish_and_export(lgd_checkpoint, tmp_path):
    code, output = call('publish', lgd_checkpoint, tmp_path / 'zoo', '--name', 'tiny')
    (published,) = (tmp_path / 'zoo').iterdir()
    assert code == 0 and f'{published}: ' in output and f"mmlgd.get_student('{published}')" in output
    code, output = call('export', published, tmp_path / 'out.pth', '--to', 'mmpretrain')
    assert code == 0 and 'mmpretrain loads them strictly' in output and 'Use it:\n\nmodel = dict(' in output
    assert read_checkpoint(tmp_path / 'out.pth')['meta']['class_names'][:2] == ['cat', 'dog']


def test_convert_ends_with_the_reason_and_without_a_traceback(tmp_path):
    torch.save({'student.fc.weight': torch.zeros(2, 2)}, tmp_path / 'in.pth')
    code, output = call('convert', tmp_path / 'in.pth', tmp_path / 'out.pth', '--arch', 'resnet18')
    assert code == 1 and output.startswith(f'error: {tmp_path / "in.pth"} has no student of the architecture resnet18')
    code, output = call('export', tmp_path / 'none.pth', tmp_path / 'out.pth', '--to', 'timm')
    assert code == 1 and output.startswith(f'error: There is no checkpoint at {str(tmp_path / "none.pth")!r}.')
    assert 'in.pth' in output and output.count('\n') == 1


@pytest.mark.parametrize(
    'script, words, expected',
    [
        ('extract_student', ['a.pth', 'b.pth', '--to', 'timm'], 'export a.pth b.pth --to timm'),
        (
            'export_onnx',
            ['a.pth', 'b.onnx', '--part', 'zero-shot', '--vocabulary', 'coco', '--input-size', '64'],
            'export --to onnx a.pth b.onnx --part zero-shot --names coco --size 64',
        ),
        ('publish_model', ['a.pth', 'zoo', '--name', 'x'], 'publish a.pth zoo --name x'),
        ('from_published', ['a.pth', 'b.pth', '--arch', 'resnet18'], 'convert a.pth b.pth --arch resnet18'),
        ('from_efficientnet_lite', ['lite0', 'b.pth'], 'convert efficientnet-lite:lite0 b.pth'),
    ],
)
def test_the_scripts_are_the_verbs(script, words, expected, monkeypatch):
    told = []
    monkeypatch.setattr(sys, 'argv', [script, *words])
    monkeypatch.setattr('mmlgd.cli.__main__.main', told.extend)
    runpy.run_path(str(SCRIPTS / f'{script}.py'), run_name='__main__')
    assert ' '.join(told) == expected
    verb = main.get_command(None, told[0])
    assert verb.make_context(told[0], told[1:])


def test_every_script_is_tested():
    assert len(list(SCRIPTS.glob('*.py'))) == 5
