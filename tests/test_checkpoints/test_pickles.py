"""What a pickle may have made of what it says once: calls and states that copy it, and keys that meet."""

import struct
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.checkpoints.values import plain_values
from tests.malicious import Call, write_archive


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def name(module, attribute):
    return f'c{module}\n{attribute}\n'.encode()


def whole(number):
    return b'J' + struct.pack('<i', number)


ROW = b'(' + whole(1) * 1000 + b't'
BYTES = name('_codecs', 'encode') + text('x' * 50_000) + text('latin1') + b'\x86R'
ARRAY_STATE = (
    b'(' + whole(1) + whole(50_000) + b'\x85' + name('numpy', 'dtype') + text('u1') + b'\x85R\x89' + BYTES + b't'
)
# A function and its arguments, or its state.
COPYING = dict(
    encode=(name('_codecs', 'encode'), text('x' * 50_000) + text('latin1') + b'\x86'),
    set=(name('builtins', 'set'), b'](' + whole(1) * 1000 + b'e\x85'),
    ordered=(name('collections', 'OrderedDict'), b'](' + whole(1) * 2 + b'\x86q\x05' + b'h\x05' * 999 + b'e\x85'),
    counter=(name('collections', 'Counter'), b'}(' + b''.join(map(whole, range(2000))) + b'u\x85'),
    size=(name('torch', 'Size'), ROW + b'\x85'),
    array=(name('numpy', 'ndarray'), ARRAY_STATE),
    arguments=(name('numpy', 'ndarray'), ROW),
)


@pytest.mark.parametrize('kind', COPYING)
def test_copies_of_repeated_data_are_limited(kind, tmp_path, monkeypatch):
    monkeypatch.setattr('mmlgd.checkpoints.pickles._MOST_PARTS', 100_000)
    monkeypatch.setattr('mmlgd.checkpoints.pickles._SLACK', 1000)
    function, given = COPYING[kind]
    before, call = (b')R', b'b') if kind == 'array' else (b'', b'R')
    read = []
    for times in (0, 100):
        calls = function + b'q\x01' + before + given + b'q\x02' + call
        calls += (b'h\x01' + before + b'h\x02' + call) * times
        write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02}' + text('a') + b'](' + calls + b'es.'})
        try:
            read.append(len(read_checkpoint(tmp_path / 'a.pth')['a']))
        except CheckpointError as error:
            read.append(str(error))
    if kind != 'arguments':  # of which no array is made
        assert read[0] == 1
    assert 'more than 100000 parts' in read[1]


def test_a_second_state_for_an_object_is_refused(tmp_path):
    states = name('numpy', 'ndarray') + b')R' + ARRAY_STATE + b'q\x02b' + b'h\x02b'
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02}' + text('a') + states + b's.'})
    with pytest.raises(CheckpointError, match='with two states'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'keys', [range(2**40, 2**40 + 20), range(-20, 0), np.linspace(0, 1, 20).tolist(), list(np.arange(20))]
)
@pytest.mark.parametrize(
    'of',
    [
        dict.fromkeys,
        lambda keys: Call(set, list(keys)),
        lambda keys: Call(OrderedDict, [(key, 1) for key in keys]),
        lambda keys: Counter(dict.fromkeys(keys, 1)),
        lambda keys: [{key: 1} for key in keys],
    ],
)
def test_the_count_of_number_keys_is_limited(of, keys, tmp_path, monkeypatch):
    """An author can choose numbers with colliding hashes: a dict of n such keys may take n * n steps."""
    monkeypatch.setattr('mmlgd.checkpoints.pickles._MOST_NUMBERS', 19)
    write_archive(dict(a=of(keys)), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='more than 19 numbers as keys'):
        read_checkpoint(tmp_path / 'a.pth')
    counts = dict.fromkeys(range(1000))  # as of the parameters of an optimizer
    write_archive(dict(a=of(keys[:9]), b=counts), tmp_path / 'a.pth')  # a counter has them twice
    assert read_checkpoint(tmp_path / 'a.pth')['b'] == counts


def test_a_torch_size_counts_its_length():
    assert plain_values([torch.Size([1])] * 2, 0) == [torch.Size([1])] * 2
    rows = [torch.Size([1] * 10_000)] * 1000
    with pytest.raises(Exception, match='would take .* bytes'):
        plain_values(rows, 0)
