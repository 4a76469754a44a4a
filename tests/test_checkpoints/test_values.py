"""What a checkpoint may hold beside tensors: plain numbers of numpy, logs and schedules, and no objects or memory."""

import argparse
import codecs
from collections import Counter, OrderedDict
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import nn

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.checkpoints.resume import resume_whole
from tests.malicious import WRITERS, Call, claimed, write_archive


def saved(value, folder, write=WRITERS['zip']):
    write(dict(value=value), folder / 'a.pth')
    return read_checkpoint(folder / 'a.pth')['value']


@pytest.mark.parametrize('format', ['zip', 'legacy'])
def test_a_log_comes_back_as_it_was(format, tmp_path):
    buffer = HistoryBuffer([1.0, 3.0], [1, 1], max_length=2)
    loaded = saved({'train/loss': buffer, 'empty': HistoryBuffer()}, tmp_path, WRITERS[format])
    assert type(loaded['empty']) is type(loaded['train/loss']) is HistoryBuffer
    assert loaded['train/loss'].statistics('mean') == 2.0
    loaded['train/loss'].update(5.0)
    np.testing.assert_array_equal(loaded['train/loss'].data[0], [3.0, 5.0])
    loaded['empty'].update(1.0)
    assert loaded['empty'].current() == 1


@pytest.mark.parametrize('kind', ['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1', '>i4'])
def test_numbers_of_numpy_come_back_as_they_were(kind, tmp_path):
    array = np.arange(6).reshape(2, 3).astype(kind)
    values = [array, np.asfortranarray(array), array.T[1:], array[:0], np.array(1).astype(kind), array[0, 1]]
    for value, loaded in zip(values, saved([values], tmp_path)[0]):
        assert type(loaded) is type(value) and loaded.dtype == value.dtype
        np.testing.assert_array_equal(loaded, value)
        assert not loaded.ndim or loaded.flags.writeable


def test_tensors_share_their_memory_with_each_other_and_with_no_file(tmp_path):
    weight = torch.ones(4)
    state = dict(a=weight, b=weight[1:], c=nn.Parameter(weight), d=torch.ones(1).expand(3), e=torch.zeros(0))
    state = saved(state, tmp_path)
    (tmp_path / 'a.pth').write_bytes(b'')  # a mapped file would be gone with this
    state['b'].add_(1)
    assert state['a'].tolist() == [1, 2, 2, 2] and type(state['c']) is nn.Parameter
    assert state['d'].tolist() == [1, 1, 1]


def test_arguments_of_a_script_come_back_as_a_dict(tmp_path):
    arguments = argparse.Namespace(lr=0.1, dtype=torch.float16, teachers=[dict(name='a', weight=torch.ones(2))])
    loaded = saved(arguments, tmp_path)
    assert type(loaded) is dict and loaded['lr'] == 0.1 and loaded['dtype'] is torch.float16
    torch.testing.assert_close(loaded['teachers'][0]['weight'], torch.ones(2))
    assert saved(argparse.Namespace(), tmp_path) == {}
    arguments.itself = arguments
    with pytest.raises(CheckpointError, match='contains itself'):
        saved(arguments, tmp_path)


def test_arguments_hold_plain_values_alone(tmp_path):
    with pytest.raises(CheckpointError, match='holds more than weights'):
        saved(argparse.Namespace(path=Path('a')), tmp_path)
    # By hand: arguments whose state is a list.
    listed = b'\x80\x02}X\x01\x00\x00\x00acargparse\nNamespace\n)\x81]bs.'
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': listed})
    with pytest.raises(CheckpointError, match='dict as their state'):
        read_checkpoint(tmp_path / 'a.pth')


SCHEDULERS = dict(
    LinearLR={},
    CosineAnnealingLR=dict(T_max=5),
    OneCycleLR=dict(eta_max=1.0, total_steps=5),
    MultiStepLR=dict(milestones=[1]),
    ReduceOnPlateauLR={},
)


@pytest.mark.parametrize('name', SCHEDULERS)
def test_schedules_come_back(name, tmp_path):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = getattr(mmengine.optim, name)(optimizer, **SCHEDULERS[name])
    torch.save(scheduler.state_dict(), tmp_path / 'a.pth')
    scheduler.load_state_dict(read_checkpoint(tmp_path / 'a.pth'))


def log_of(**state):
    column = np.ones(2)
    state = dict(dict(max_length=5, _log_history=column, _count_history=column), **state)
    return Call(HistoryBuffer, state=state)


def array_of(*state):
    reconstruct, arguments, _ = np.ones(1).__reduce__()
    return Call(reconstruct, *arguments, state=state)


OBJECTS = np.dtype('O')
scalar = np.float64(1).__reduce__()[0]
ATTACKS = dict(
    eval=Call(eval, '1 + 1'),
    load=Call(mmengine.load, 'file'),
    a_method=Call(getattr, HistoryBuffer, '__init__'),
    registration=Call(getattr, HistoryBuffer, 'register_statistics'),
    of_a_dict=Call(getattr, dict, 'fromkeys'),
    of_a_list=Call(getattr, [], 'append'),
    of_a_log=Call(getattr, log_of(), 'mean'),
    of_a_number=Call(getattr, HistoryBuffer, 5),
    of_the_schedule=Call(getattr, OneCycleParamScheduler, '__init__'),
    pointer=Call(np.ndarray, (1,), Call(np.dtype, 'O'), b'AAAAAAAA'),
    pointer_of_a_state=Call(np.ndarray, (1,), OBJECTS, b'AAAAAAAA'),
    scalar_pointer=Call(scalar, Call(np.dtype, 'O'), b'AAAAAAAA'),
    buffer=Call(np.ndarray, (4,), np.dtype('f8'), bytes(32)),
    beyond_a_buffer=Call(np.ndarray, (10**6,), np.dtype('f8'), bytes(8)),
    without_numbers=Call(np.ndarray, (10**12,), np.dtype('f8')),
    objects=array_of(1, (1,), OBJECTS, False, [None]),
    objects_of_bytes=array_of(1, (1,), OBJECTS, False, b'AAAAAAAA'),
    object_letter=Call(np.dtype, 'O', False, True),
    object_state=array_of(1, (1,), Call(np.dtype, 'f8', state=(3, '|', None, ('a',), {}, 8, 1, 63)), False, bytes(8)),
    object_flag=array_of(1, (1,), Call(np.dtype, 'f8', state=(3, '<', None, None, None, 8, 8, 63)), False, bytes(8)),
    structure=Call(np.dtype, [('a', 'O')]),
    structure_of_text=Call(np.dtype, 'f8,O'),
    text=np.array(['a']),
    dates=np.array(['2026-01-01'], dtype='datetime64[D]'),
    object_scalar=Call(scalar, OBJECTS, b'AAAAAAAA'),
    short_scalar=Call(scalar, np.dtype('f8'), b'A'),
    scalar_of_no_type=Call(scalar, 'f8', bytes(8)),
    short_array=array_of(1, (3,), np.dtype('f8'), False, bytes(8)),
    huge_array=array_of(1, (2**62, 2**62), np.dtype('f8'), False, bytes(8)),
    huge_empty_array=array_of(1, (0, 2**62, 2**62), np.dtype('f8'), False, b''),
    negative_array=array_of(1, (-1, -1), np.dtype('f8'), False, bytes(8)),
    shape_of_floats=array_of(1, (1.0,), np.dtype('f8'), False, bytes(8)),
    many_dimensions=array_of(1, (1,) * 70, np.dtype('f8'), False, bytes(8)),
    unfilled_array=Call(array_of(1).call[0], np.ndarray, (0,), b'b'),
    array_of_no_state=array_of('x'),
    array_in_a_set=Call(set, [np.ones(1)]),
    log_of_text=log_of(_log_history='abc'),
    log_of_lists=log_of(_log_history=[1.0], _count_history=[1]),
    log_of_two_lengths=log_of(_log_history=np.ones(3)),
    log_of_a_table=log_of(_log_history=np.ones((2, 2)), _count_history=np.ones((2, 2))),
    log_of_no_length=log_of(max_length='5'),
    log_of_no_state=Call(HistoryBuffer, state='x'),
    log_of_nothing=Call(HistoryBuffer, state={}),
    a_class=HistoryBuffer,
    attributes_of_a_dict=Call(torch.nn.Module().state_dict().__class__, state=dict(items=len)),
    a_number_too_many=claimed(10**7, (10**7,), (1,)),
    another_numbers=claimed(100, (100,), (1,)),
    a_shape_too_large=claimed(4, (10**7,), (1,)),
    before_its_memory=claimed(4, (2,), (1,), offset=-(10**6)),
    expanded=claimed(4, (10**6, 10**6), (0, 0)),
    many_numbers=claimed(4, (2**62,) * 100_000, (0,) * 100_000),
    overflowing=claimed(4, (2**33, 2**33), (2**31, 2**31)),
    uninitialised=Call(torch.Tensor, 10**9),
    uninitialised_memory=Call(torch.storage.UntypedStorage, 10**9),
    nested=Call(torch._utils._rebuild_nested_tensor, *[claimed(4, (4,), (1,))] * 4),
    sparse=torch.ones(2).to_sparse(),
    hooks=Call(torch._utils._rebuild_parameter, claimed(4, (4,), (1,)), True, dict(a=len)),
)


@pytest.mark.parametrize('name', ATTACKS)
def test_unknown_names_in_a_pickle_are_refused(name, tmp_path):
    methods = dict(HistoryBuffer._statistics_methods)
    write_archive(dict(state_dict={}, meta=ATTACKS[name]), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError):
        repr(read_checkpoint(tmp_path / 'a.pth'))
    assert HistoryBuffer._statistics_methods == methods


@pytest.mark.parametrize(
    'name', ['pointer', 'object_scalar', 'objects_of_bytes', 'log_of_text', 'uninitialised', 'sparse']
)
def test_unknown_names_in_the_old_format_are_refused(name, tmp_path):
    with pytest.raises(CheckpointError):
        saved(ATTACKS[name], tmp_path, WRITERS['legacy'])


def test_an_expanded_tensor_in_the_format_before_zip(tmp_path):
    with pytest.raises(CheckpointError, match='would take .* bytes'):
        saved(torch.zeros(1).expand(10**6, 10**6), tmp_path, WRITERS['legacy'])


def test_a_log_takes_no_methods_from_a_file(tmp_path):
    """mmengine would take it for all logs of the process."""
    write_archive(dict(log=log_of(statistics_methods=dict(mean=5, mine=7))), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['log'].statistics('mean') == 1
    assert 'mine' not in HistoryBuffer._statistics_methods


def test_tensors_that_share_memory_are_limited(tmp_path):
    """Each tensor is small, but copies of all of them, as in a model, would fill the memory."""
    views = [claimed(10**5, (10**5,), (1,)) for _ in range(200)]
    write_archive(dict(state_dict={}, views=views), tmp_path / 'a.pth', {'data/0': bytes(4 * 10**5)})
    with pytest.raises(CheckpointError, match='would take .* bytes'):
        read_checkpoint(tmp_path / 'a.pth')


# Written by hand, because Python's own pickler cannot write such a depth.
DEEP = dict(
    a_few_lists=b'X\x01\x00\x00\x00a' + b']' * 101 + b'a' * 100 + b's',
    lists=b'X\x01\x00\x00\x00a' + b']' * 200_000 + b'a' * 199_999 + b's',
    tuples=b'X\x01\x00\x00\x00a)' + b'\x85' * 40_000 + b's',
    tuples_as_a_key=b')' + b'\x85' * 200_000 + b'Ns',  # their hash takes the stack of the process
)


@pytest.mark.parametrize('name', DEEP)
def test_deep_nesting_is_refused(name, tmp_path):
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02}' + DEEP[name] + b'.'})
    with pytest.raises(CheckpointError, match='nested deeper|as a key'):
        read_checkpoint(tmp_path / 'a.pth')


# By hand: a list in itself; a tuple of a list, and in the list the tuple; lists of the list before and a list.
IN_ITSELF = dict(list=b']q\x00h\x00a', tangled=b']q\x00\x85q\x01h\x00h\x01a\x86')


@pytest.mark.parametrize('name', IN_ITSELF)
def test_content_that_contains_itself_is_refused(name, tmp_path):
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02}X\x01\x00\x00\x00a' + IN_ITSELF[name] + b's.'})
    with pytest.raises(CheckpointError, match='a (tuple|list) that contains itself'):
        read_checkpoint(tmp_path / 'a.pth')


def test_depth_counts_shared_parts(tmp_path):
    """The reader meets each list at a small depth first, before the list that contains it."""
    lists = [[]]
    for _ in range(200):
        lists.append([lists[-1]])
    torch.save(dict(lists=lists[:90]), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['lists'] == lists[:90]
    torch.save(dict(lists=lists), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='nested deeper'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('share', [lambda one: [one, one], lambda one: (one, one), lambda one: dict(a=one, b=one)])
def test_content_that_expands_too_much_is_refused(share, tmp_path):
    value = 'text'
    for _ in range(60):
        value = share(value)
    with pytest.raises(CheckpointError, match='would take .* bytes'):
        saved(value, tmp_path)


@pytest.mark.parametrize('parts', ['compressed', 'overlapping'])
def test_a_small_file_does_not_fill_the_memory(parts, tmp_path):
    file = tmp_path / 'epoch_1.pth'
    content, size = dict(state_dict=dict(w=claimed(10**6, (10**6,), (1,)))), 4 * 10**6
    write_archive(content, file, {'data/0': bytes(size)}, compression=8 if parts == 'compressed' else 0)
    if parts == 'overlapping':  # a directory that lists the same bytes many times
        whole = file.read_bytes()
        start = whole.rindex(b'PK\x01\x02')
        end = whole.rindex(b'PK\x05\x06')
        entries, listed = whole[start:end] * 100, whole.count(b'PK\x01\x02') + 99
        first = whole.index(b'PK\x01\x02')
        tail = bytearray(whole[end:])
        tail[8:12] = listed.to_bytes(2, 'little') * 2
        tail[12:16] = (start - first + len(entries)).to_bytes(4, 'little')
        file.write_bytes(whole[:start] + entries + tail)
    told = 'compressed parts' if parts == 'compressed' else 'larger than the file'
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(file)
    config = mmengine.Config(dict(resume=True, load_from=str(file), work_dir=str(tmp_path)))
    with pytest.raises(CheckpointError, match=told):
        resume_whole(config)


class Own:
    """A class that a program has made torch trust, for its own checkpoints."""


def test_add_safe_globals_is_ignored_and_unchanged(tmp_path):
    """Nor while a file is read: another thread then is as free as before."""

    def look(memory, location):
        seen.append(torch.serialization.get_safe_globals())
        torch.serialization.add_safe_globals([Own])
        return memory

    seen, before = [], [np.ndarray, np.dtype, type(np.dtype('float64')), HistoryBuffer, tuple]
    try:
        with torch.serialization.safe_globals(before):
            trusted = torch.serialization.get_safe_globals()
            torch.save(dict(w=torch.ones(1), log=HistoryBuffer([1.0], [1])), tmp_path / 'a.pth')
            assert read_checkpoint(tmp_path / 'a.pth', map_location=look)['log'].mean() == 1
            assert [set(one) for one in seen] == [set(trusted)]
            assert {*torch.serialization.get_safe_globals()} == {*trusted, Own}
            with pytest.raises(CheckpointError, match=r'It names .*\.Own'):
                saved(Own(), tmp_path)
            for attack in ('pointer', 'log_of_text'):
                write_archive(dict(state_dict={}, meta=ATTACKS[attack]), tmp_path / 'b.pth')
                with pytest.raises(CheckpointError):
                    read_checkpoint(tmp_path / 'b.pth')
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals([one for one in trusted if one not in before])


def test_only_latin1_encodings_are_read(tmp_path):
    assert saved(bytes(range(256)), tmp_path) == bytes(range(256))
    with pytest.raises(CheckpointError, match="as 'utf_32'.*latin1"):
        saved(Call(codecs.encode, 'a' * 9, 'utf_32'), tmp_path)


@pytest.mark.parametrize('key', [(1, 2), [], {}, 2**200, np.ones(1), torch.ones(1), HistoryBuffer])
def test_keys_are_plain_values(key, tmp_path):
    torch.save({}, tmp_path / 'a.pth')
    plain = {'a': 1, 2: 1, 0.5: 1, True: 1, None: 1, np.int64(7): 1}
    assert saved([plain, set(plain), Counter(plain)], tmp_path) == [plain, set(plain), Counter(plain)]
    for call in (Call(set, [key]), Call(OrderedDict, [(key, 1)])):
        with pytest.raises(CheckpointError, match='as a key'):
            saved(call, tmp_path)
