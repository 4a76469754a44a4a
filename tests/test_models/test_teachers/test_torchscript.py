"""Tensors of TorchScript archives, as torch has them; and archives that are out for much memory."""

import struct

import pytest
import torch
from torch import nn

from mmlgd.checkpoints import CheckpointError
from mmlgd.models.teachers.torchscript import is_torchscript, read_torchscript
from tests.malicious import write_archive


class Model(nn.Module):
    """With what programs keep beside their weights: a device, a kind of numbers, a buffer of one number, a share."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.again = self.first
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer('mask', torch.ones(1).expand(4, 4))
        self.device, self.kind, self.number, self.list = torch.device('cpu'), torch.float32, 1 + 2j, [1, 2]

    def forward(self, x):
        return self.norm(self.first(x))


def test_all_tensors_come_out(tmp_path):
    torch.jit.save(torch.jit.script(Model()), tmp_path / 'a.pt')
    assert is_torchscript(tmp_path / 'a.pt')
    ours, theirs = read_torchscript(tmp_path / 'a.pt'), torch.jit.load(tmp_path / 'a.pt').state_dict()
    shared = {key.replace('again', 'first') for key in theirs}
    assert shared <= ours.keys() and all(torch.equal(ours[key], theirs[key]) for key in shared)


def write_modules(file, names):
    """Modules in each other: the one in it by the first name, in that the next by the second."""
    content = b'\x80\x02c__torch__\nM\nq\x01)\x81'
    for name in names:
        content += b'}' + name + b'h\x01)\x81'
    write_archive({}, file, {'data.pkl': content + b'sb' * len(names) + b'.', 'constants.pkl': b'\x80\x02).'})


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


TREES = dict(
    deep=([text('a')] * 101, 'deeper than 100'),
    long=([text('a' * 2**19)] * 9, 'names of 16777216 letters'),
    no_names=([b'K\x01'], 'an attribute named by a int'),
)


@pytest.mark.parametrize('name', TREES)
def test_a_tree_that_would_fill_the_memory(name, tmp_path):
    names, told = TREES[name]
    if name == 'long':  # said once
        names = [names[0] + b'q\x02', *[b'h\x02'] * 50]
    write_modules(tmp_path / 'a.pt', names)
    with pytest.raises(CheckpointError, match=told):
        read_torchscript(tmp_path / 'a.pt')
    write_modules(tmp_path / 'a.pt', [text('a')] * 90)
    assert read_torchscript(tmp_path / 'a.pt') == {}


def test_a_name_in_a_message_is_short_and_plain(tmp_path):
    content = b'\x80\x02ctorch\n\x1b[2J' + b'x' * 10**6 + b'\n.'
    write_archive({}, tmp_path / 'a.pt', {'data.pkl': content, 'constants.pkl': b'\x80\x02).'})
    with pytest.raises(CheckpointError) as caught:
        read_torchscript(tmp_path / 'a.pt')
    assert len(str(caught.value)) < 1000 and '\x1b' not in str(caught.value)
