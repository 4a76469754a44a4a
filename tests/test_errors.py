"""What a tool says last: the reason, in one paragraph, wherever the error comes from."""

import json
import os
import signal
from collections import OrderedDict

import pytest
import torch
from mmengine import ConfigDict
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from mmlgd.cli.tool import run_tool
from mmlgd.datasets import BadImageError
from mmlgd.errors import MMLGDError, brief, reason_of, sentence


def in_a_worker(error, cause=None):
    """What torch makes of an error that a data loader's process meets."""
    try:
        try:
            raise error from cause
        except Exception:
            ExceptionWrapper(where='in DataLoader worker process 3').reraise()
    except Exception as raised:
        return raised


def kinds(kind=MMLGDError):
    yield kind
    for one in kind.__subclasses__():
        yield from kinds(one)


@pytest.mark.parametrize('cause', [None, OSError(5, 'Input/output error')])
@pytest.mark.parametrize('kind', sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_of_an_error_in_a_worker_the_reason_is_told(kind, cause):
    reason = 'The image a.jpg cannot be used: it is empty.\nMend it: or leave it out.'
    error = in_a_worker(kind(reason), cause)
    assert isinstance(error, kind) and 'Traceback' in str(error)
    assert reason_of(error) == reason
    with pytest.raises(SystemExit) as stopped:
        run_tool(lambda: (_ for _ in ()).throw(error))
    assert stopped.value.code == f'error: {reason}'


@pytest.mark.parametrize(
    'cause, written',
    [
        (ValueError('no such size'), 'no such size.'),
        (ValueError('It is damaged.'), 'It is damaged.'),
        (RuntimeError('two\n  lines'), 'two lines.'),
        (AssertionError(), 'AssertionError.'),
        ('is it?', 'is it?'),
        ('a' * 600, 'a' * 500 + '.'),
    ],
)
def test_a_cause_is_one_sentence_that_advice_can_follow(cause, written):
    assert sentence(cause) == written


def test_a_fault_of_ours_keeps_its_traceback():
    for error in (KeyError('key'), in_a_worker(KeyError('key')), RuntimeError('The size of tensor a')):
        with pytest.raises(type(error)):
            run_tool(lambda error=error: (_ for _ in ()).throw(error))


class Dies(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


class IsBad(Dies):
    def __getitem__(self, index):
        raise BadImageError.of('a.jpg', 'it is empty (0 bytes)')


@pytest.mark.parametrize(
    'dataset, said',
    [
        # torch says the second if it sees a dead process before the system has told it of its end
        (
            Dies(),
            r'^error: A process that reads images has died: .*(?:Killed|exited unexpectedly).*memory.*num_workers',
        ),
        (IsBad(), r'^error: The i'),
    ],
)
def test_a_real_worker_of_a_run_under_torchrun(dataset, said, tmp_path, monkeypatch):
    """Its launcher reads the reason from a file, for its own report."""
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'error.json'))
    with pytest.raises(SystemExit, match=said) as stopped:
        run_tool(lambda: list(DataLoader(dataset, num_workers=1)))
    told = json.loads((tmp_path / 'error.json').read_text())
    assert told['message'] == stopped.value.code and int(told['timestamp']) > 0
    assert 'Traceback' not in told['message'] and '\n' not in told['message']


def test_a_value_of_any_size_is_shown_by_its_beginning():
    value = 'text'
    for kind in [list, tuple, lambda one: OrderedDict(enumerate(one)), lambda one: ConfigDict(a=one[0], b=one[1])] * 20:
        value = kind([value, value])
    assert 20 < len(brief(value)) <= 100 and '...' in brief(value)
    assert brief('a' * 10**6, 50) == 'a' * 50
    assert len(brief(b'a' * 10**6)) == len(brief([b'a' * 10**6])) == 100
    assert brief(10**10_000) == 'a number of 33220 bits'
    assert brief(list(range(10**6))) == '[0, 1, 2, 3, 4, 5, ...]'
    assert brief(dict(a=[1.5, None])) == "{'a': [1.5, None]}"


def test_of_a_full_gpu_it_is_told_what_helps():
    error = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.\nmore')
    with pytest.raises(SystemExit, match='memory of the GPU is full: CUDA out of memory.*--batch-size.*--store'):
        run_tool(lambda: (_ for _ in ()).throw(error))
