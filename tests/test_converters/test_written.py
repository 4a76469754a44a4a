"""What a converter writes is a whole file or none, and its errors name the place and the reason."""

import os
import stat

import pytest

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.utils.files import WriteError
from tests.disks import full_after

SMALL = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,))


def convert(student, out):
    """Go back from a file of the published code: a bare encoder."""
    mmlgd.export(student, out.parent / 'theirs.pth', to='torchvision')
    with full_after(20000):
        mmlgd.convert(out.parent / 'theirs.pth', out, arch='mobilenetv2', statistics='clip')


@pytest.mark.parametrize('to', ['mmpretrain', 'onnx'])
def test_a_full_disk_is_named_and_an_older_file_stays(write_student, to, tmp_path):
    pytest.importorskip('onnxruntime' if to == 'onnx' else to)
    student, out = write_student(SMALL), tmp_path / 'out.pth'
    older = mmlgd.export(student, out, to=to).file.read_bytes()
    with full_after(20000), pytest.raises(WriteError, match='Cannot write .*out.pth: .*File too large'):
        mmlgd.export(student, out, to=to)
    assert out.read_bytes() == older and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_named_by_convert_and_publish(students, tmp_path):
    with pytest.raises(WriteError, match='Cannot write .*out.pth: .*File too large'):
        convert(students['mobilenetv2'], tmp_path / 'out.pth')
    with full_after(20000), pytest.raises(WriteError, match='Cannot write .*lgd_tiny.*File too large'):
        mmlgd.publish(students['mobilenetv2'], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ['theirs.pth']


def test_a_pipe_or_device_is_not_replaced(students, tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ConfigError, match='a pipe or a device, which the file would replace'):
        mmlgd.export(students['mobilenetv2'], tmp_path / 'pipe', to='mmpretrain')
    assert stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode)


@pytest.mark.parametrize('letters', [245, 300])  # alone, the name of the first is short enough
def test_a_name_that_is_too_long(write_student, letters, tmp_path):
    with pytest.raises(WriteError, match='File name too long'):
        mmlgd.export(write_student(SMALL), tmp_path / f'{"x" * letters}.pth', to='mmpretrain')
    assert not list(tmp_path.iterdir())
