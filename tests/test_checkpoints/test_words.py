"""Words as a tensor: back as they were, and nothing that somebody else has made of them passes for words."""

import json

import pytest
import torch

from mmlgd.checkpoints import words
from mmlgd.checkpoints.words import tensor_of, words_of

TOLD = dict(class_names=['Köln', '$\\frac{', '猫'], teacher_id='open_clip/\udcff')


def raw(content):
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def test_words_come_back_and_old_checkpoints_are_read():
    told = tensor_of(TOLD)
    assert told.dtype == torch.uint8 and told.ndim == 1
    assert words_of(told) == words_of(TOLD) == TOLD


@pytest.mark.parametrize(
    'value',
    [
        None,
        'text',
        raw(b'[1]'),
        raw(b'{"a": '),
        raw(b'\xff{}'),
        raw(json.dumps(TOLD).encode('utf-16')),
        raw(b'[' * 100_000),
        torch.zeros(0, dtype=torch.uint8),
        torch.zeros(3),
        torch.zeros(2, 2, dtype=torch.uint8).to_sparse(),
    ],
)
def test_other_values_give_no_words(value):
    assert words_of(value) == {}


def test_long_words_are_not_read(monkeypatch):
    monkeypatch.setattr(words, 'SMALL', 10)
    assert words_of(tensor_of(TOLD)) == {} and words_of(tensor_of(dict(a=1))) == dict(a=1)
