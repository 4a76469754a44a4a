"""torch's formats, read as torch reads them; and small files that are out for much memory or time."""

import io
import os
import pickle
import resource
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.checkpoints.archives import archive_fault
from mmlgd.checkpoints.resume import last_whole_checkpoint
from mmlgd.models.teachers.foreign import check_weights_file
from mmlgd.models.teachers.torchscript import is_torchscript, read_torchscript
from mmlgd.utils.files import UnreadableError
from tests.malicious import WRITERS, Call, Claim, claimed, write_archive

KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128]
KINDS += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]
VIEWS = [
    lambda w: w,
    lambda w: w[1:],
    lambda w: w.t(),
    lambda w: w[:, ::2],
    lambda w: w[:0],
    lambda w: w[0, 0],
    lambda w: w[:1].expand(5, -1),
    lambda w: w.clone(),
    lambda w: w.new_empty(0, 3),
    lambda w: w.conj(),
    lambda w: nn.Parameter(w, requires_grad=w.is_floating_point()),
    lambda w: nn.Parameter(w[1:], requires_grad=False),
    lambda w: w.clone().requires_grad_(w.is_floating_point()),
]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
PLAIN |= st.sampled_from([b'\x00\xff', 1j, torch.float16, torch.device('cuda', 1), torch.Size([2, 3]), {1, 'a'}])
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and ours.stride() == theirs.stride() and ours.device == theirs.device
        assert ours.storage_offset() == theirs.storage_offset() and ours.requires_grad == theirs.requires_grad
        assert ours.is_conj() == theirs.is_conj() and torch.equal(ours, theirs)
        assert ours.untyped_storage().nbytes() == theirs.untyped_storage().nbytes()
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs) and vars_of(ours) == vars_of(theirs)
        for key, value in ours.items():
            assert_same(value, theirs[key])
    elif type(ours) in (list, tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs):
            assert_same(one, other)
    else:
        assert ours == theirs


def vars_of(value):
    return getattr(value, '_metadata', None)


def shared(state):
    """Which of the tensors have the same memory."""
    places = [tensor.untyped_storage().data_ptr() for tensor in state.values() if tensor.untyped_storage().nbytes()]
    return [places.index(place) for place in places]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_checkpoint_equals_torch_load(data, tmp_path):
    kinds = st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from(VIEWS), max_size=4))
    state = OrderedDict()
    for kind, views in data.draw(st.lists(kinds, max_size=4)):
        weight = torch.randn(3, 4).to(kind)
        state.update((f'{len(state)}.{count}', view(weight)) for count, view in enumerate(views))
    if data.draw(st.booleans()):
        state._metadata = OrderedDict({'': dict(version=1)})
    WRITERS[data.draw(st.sampled_from(['zip', 'legacy']))](dict(state=state, meta=data.draw(VALUES)), tmp_path / 'a')
    ours, theirs = read_checkpoint(tmp_path / 'a'), torch.load(tmp_path / 'a', weights_only=True)
    assert_same(ours, theirs)
    assert shared(ours['state']) == shared(theirs['state'])


@pytest.mark.parametrize('writer', ['zip', 'legacy'])
def test_a_training_state_is_read(writer, tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    model(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = dict(state_dict=model.state_dict(), optimizer=optimizer.state_dict(), rng=torch.get_rng_state())
    WRITERS[writer](content, tmp_path / 'a.pth')
    ours = read_checkpoint(tmp_path / 'a.pth')
    assert_same(ours, torch.load(tmp_path / 'a.pth', weights_only=True))
    optimizer.load_state_dict(ours['optimizer'])
    optimizer.step()


def parts(content, keys, memories, little=True, start=0x1950A86A20F9469CFC6C):
    """The format before torch 1.6, by hand."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.told if isinstance(value, Claim) else None

    out = io.BytesIO()
    for part in (start, 1001, dict(little_endian=little), content, keys):
        Pickler(out, 2).dump(part)
    for count, memory in memories:
        out.write(struct.pack('<q', count) + memory)
    return out.getvalue()


class Part(Claim):
    def __init__(self, key, numel, view=None, location='cpu'):
        self.told = ('storage', torch.FloatStorage, key, location, numel, view)


def old_tensor(*part, size=(2,), location='cpu'):
    return Call(torch._utils._rebuild_tensor, Part(*part, location=location), 0, size, (1,) * len(size))


MEMORY = (4, struct.pack('<4f', 1, 2, 3, 4))


def test_files_of_earlier_torch_versions_are_read(tmp_path):
    """Parts of a memory, dicts as lists of pairs, and parameters with a state."""
    one, other = old_tensor('k', 4, ('v', 1, 2)), old_tensor('k', 4)
    parameter = Call(nn.Parameter, old_tensor('k', 4, None), state=(False, False, OrderedDict()))
    content = Call(OrderedDict, [['one', one], ['other', other], ['parameter', parameter]])
    written = parts(content, ['k'], [MEMORY])
    # Python 2 wrote texts so.
    written = written.replace(b'X\x05\x00\x00\x00other', b'U\x05other')
    (tmp_path / 'a.pth').write_bytes(written)
    ours = read_checkpoint(tmp_path / 'a.pth')
    assert ours['one'].tolist() == [2, 3] and ours['other'].tolist() == [1, 2]
    theirs = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert type(ours['parameter']) is nn.Parameter and not ours['parameter'].requires_grad
    ours['one'].zero_()
    assert ours['other'].tolist() == [1, 0]  # of one memory


WEIGHT = dict(a=old_tensor('k', 4))
BROKEN = dict(
    not_filled=(parts(WEIGHT, [], []), 'list of memories'),
    another=(parts(WEIGHT, ['x'], [MEMORY]), 'list of memories'),
    twice=(parts(WEIGHT, ['k', 'k'], [MEMORY] * 2), 'list of memories'),
    no_list=(parts(WEIGHT, 'k', [MEMORY]), 'list of memories'),
    another_count=(parts(WEIGHT, ['k'], [(3, MEMORY[1])]), 'are missing'),
    negative=(parts(WEIGHT, ['k'], [(-1, MEMORY[1])]), 'are missing'),
    cut=(parts(WEIGHT, ['k'], [MEMORY])[:-1], 'are missing'),
    huge=(parts(dict(a=old_tensor('k', 2**40, size=(2**40,))), ['k'], [(2**40, b'')]), 'are missing'),
    beyond=(parts(dict(a=old_tensor('k', 4, ('v', 3, 2))), ['k'], [MEMORY]), 'a part is'),
    beyond_its_part=(parts(dict(a=old_tensor('k', 4, ('v', 2, 1))), ['k'], [MEMORY]), 'larger than its storage'),
    big_endian=(parts(WEIGHT, ['k'], [MEMORY], little=False), 'big-endian'),
    no_number=(parts(WEIGHT, ['k'], [MEMORY], start=1), 'does not begin with'),
    tar=(b'\0' * 257 + b'ustar' + b'\0' * 300, 'tar archive'),
)


@pytest.mark.parametrize('name', BROKEN)
def test_storages_of_the_old_format_must_match_its_tensors(name, tmp_path):
    content, told = BROKEN[name]
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(tmp_path / 'a.pth')


def test_map_location_decides_the_device(tmp_path):
    """A GPU that the file names is not needed, and others are asked as torch asks them."""
    content = parts(dict(a=old_tensor('k', 4, location='cuda:3')), ['k'], [MEMORY])
    (tmp_path / 'a.pth').write_bytes(content)
    asked = []
    for place in ('cpu', torch.device('cpu'), {'cuda:3': 'cpu'}, lambda memory, location: asked.append(location)):
        if callable(place):
            with pytest.raises(CheckpointError, match="'cuda:3'.*CUDA.*map_location='cpu'"):
                read_checkpoint(tmp_path / 'a.pth', place)
        else:
            assert read_checkpoint(tmp_path / 'a.pth', place)['a'].tolist() == [1, 2]
    assert asked == ['cuda:3']
    moved = read_checkpoint(tmp_path / 'a.pth', lambda memory, location: memory.clone())
    assert moved['a'].tolist() == [1, 2]


def test_big_endian_files_are_refused(tmp_path):
    for order in (b'little', b'big'):
        members = {'data/0': bytes(16), 'byteorder': order}
        write_archive(dict(a=claimed(4, (4,), (1,))), tmp_path / f'{order}.pth', members)
    assert read_checkpoint(tmp_path / f'{b"little"}.pth')
    with pytest.raises(CheckpointError, match='big-endian'):
        read_checkpoint(tmp_path / f'{b"big"}.pth')


@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_two_archive_members_of_the_same_name_are_refused(tmp_path):
    write_archive(dict(a=1), tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth', 'a') as archive:
        archive.writestr('archive/data/0', bytes(16))
    with pytest.raises(CheckpointError, match='of the same name'):
        read_checkpoint(tmp_path / 'a.pth')


def test_a_changed_weight_fails_its_checksum(tmp_path):
    torch.save(dict(a=torch.full((50,), 3.0)), tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(content.replace(struct.pack('<f', 3), struct.pack('<f', 4)))
    with pytest.raises(CheckpointError, match='CRC'):
        read_checkpoint(tmp_path / 'a.pth')


def test_an_archive_with_two_directories_is_refused(tmp_path):
    """One says that all is stored; readers that start at the other unpack a thousand times of the file."""
    file = tmp_path / 'a.pth'
    write_archive(dict(a='a' * (20 << 20)), file, compression=zipfile.ZIP_DEFLATED)
    whole = file.read_bytes()
    first, end = whole.index(b'PK\x01\x02'), whole.rindex(b'PK\x05\x06')
    directory, place = bytearray(whole[first:end]), 0
    while (place := directory.find(b'PK\x01\x02', place)) >= 0:
        directory[place + 10 : place + 12] = bytes(2)  # stored
        directory[place + 24 : place + 28] = directory[place + 20 : place + 24]
        place += 4
    file.write_bytes(whole[:end] + directory + whole[end:])
    with pytest.raises(CheckpointError):
        read_checkpoint(file)


def within_limits(read, file):
    """Read in a process that may take a few seconds and 300 MB more; give what it says, or how it ended."""
    results, result = os.pipe()
    child = os.fork()
    if not child:
        try:
            used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
            spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + 5,) * 2)
            try:
                said = f'read {type(read(file)).__name__}'
            except CheckpointError as error:
                said = f'refused {error}'
            os.write(result, said.encode()[:4000])
        finally:
            os._exit(0)
    os.close(result)
    with open(results) as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    return said or f'ended by {status}'


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def deep(count):
    return b')' + b'\x85' * count


def doubled(count):
    """(((), ()), ((), ())) ..., of which each is made once and meant many times."""
    return b')q\x00' + b'h\x00h\x00\x86q\x00' * count


MODULE = b'c__torch__.M\nModule\n)\x81'
OUT_FOR_MUCH = dict(
    deep_key=b'}' + deep(300_000) + b'Ns',
    deep_key_of_a_script=MODULE + b'}' + deep(300_000) + b'K\x01sb',
    doubled_key=b'}' + doubled(60) + b'Ns',
    doubled_key_of_a_script=MODULE + b'}' + doubled(60) + b'K\x01sb',
    doubled_keys=b'}(' + doubled(60) + b'Nu',
    doubled_member=b'c__builtin__\nset\n(](' + doubled(60) + b'etR',
    doubled_kind=b'cnumpy\ndtype\n(' + doubled(60) + b'K\x00K\x01tR',
    doubled_state=b'cnumpy\ndtype\n(' + text('f8') + b'K\x00K\x01tR(' + doubled(60) + b'tb',
    doubled_name=b'c__builtin__\ngetattr\n(' + doubled(60) + text('mean') + b'tR',
    doubled_storage=doubled(60) + b'Q',
    doubled_size=b'ctorch\nSize\n(' + doubled(60) + b'tR',
    doubled_value=b'}' + text('optimizer') + doubled(60) + b's',
    huge_memo=b'}r' + struct.pack('<I', 1 << 30),
    huge_text=b'X\xff\xff\xff\x7f',
)


@pytest.mark.parametrize('name', OUT_FOR_MUCH)
def test_a_small_file_takes_little_time_and_memory(name, tmp_path):
    content = b'\x80\x02' + OUT_FOR_MUCH[name] + b'.'
    script = MODULE in content
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': content, **({'constants.pkl': b'\x80\x02).'} if script else {})})
    said = within_limits(read_torchscript if script else read_checkpoint, tmp_path / 'a.pth')
    assert said.startswith('refused') and len(said) < 1000, said


def test_a_huge_memo_index_takes_no_memory(tmp_path):
    content = b'\x80\x02' + MODULE + b'}r' + struct.pack('<I', 1 << 30) + b'b.'
    write_archive({}, tmp_path / 'a.pt', {'data.pkl': content, 'constants.pkl': b'\x80\x02).'})
    assert within_limits(read_torchscript, tmp_path / 'a.pt') == 'read dict'


def test_the_parts_of_a_pickle_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr('mmlgd.checkpoints.pickles._MOST_PARTS', 1000)
    torch.save(dict(a=list(range(400))), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')
    torch.save(dict(a=list(range(1000))), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='more than 1000 parts'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'opcodes',
    [b'(i__main__\nA\n', b'(cbuiltins\nset\no', b'\x82\x01', b'P1\n', b')}\x92', b'\x8f', b'2', b'I1\n', b'}.}'],
)
def test_opcodes_that_torch_does_not_write_are_refused(opcodes, tmp_path):
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02' + opcodes + b'.'})
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'opcodes', [b']K\x01K\x02s', b'}(K\x01u', b'NK\x01a', b'N)R', b'K\x01Q', b'h\x05', b'\x86', b'e', b'N}b', b'R', b'']
)
def test_malformed_pickles_are_refused(opcodes, tmp_path):
    write_archive({}, tmp_path / 'a.pth', {'data.pkl': b'\x80\x02' + opcodes + b'.'})
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / 'a.pth')


def with_entry(file, change):
    """An archive of which the first entry of the directory is changed."""
    torch.save(dict(a=torch.ones(4)), file)
    content = bytearray(file.read_bytes())
    start = content.index(b'PK\x01\x02')
    change(content, start)
    file.write_bytes(content)


def _set(offset, value):
    def change(content, start):
        content[start + offset : start + offset + len(value)] = value

    return change


def _cipher(content, start):
    while start >= 0:
        content[start + 8] |= 1
        start = content.find(b'PK\x01\x02', start + 4)


ENTRIES = dict(
    text=lambda content, start: (_set(8, b'\0\x08')(content, start), _set(46, b'\xff')(content, start)),
    version=_set(6, b'\x63\0'),
    cipher=_cipher,
    method=_set(10, b'\x61\0'),
)


@pytest.mark.parametrize('name', ENTRIES)
def test_archives_of_other_kinds_are_refused(name, tmp_path):
    """Python has five kinds of errors for it; a run goes on from the checkpoint before."""
    torch.save(dict(a=torch.ones(4)), tmp_path / 'epoch_1.pth')
    file = tmp_path / 'epoch_2.pth'
    with_entry(file, ENTRIES[name])
    assert archive_fault(file) and not is_torchscript(file)
    with pytest.raises(CheckpointError, match='encrypted' if name == 'cipher' else None):
        read_checkpoint(file)
    assert last_whole_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'
    file.rename(tmp_path / 'a.npz')
    with pytest.raises(UnreadableError):
        check_weights_file(tmp_path / 'a.npz')


def test_an_archive_without_checksums_says_how_it_was_made(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(dict(a=torch.ones(4)), tmp_path / 'epoch_1.pth')
    finally:
        torch.serialization.set_crc32_options(before)
    for read in (read_checkpoint, lambda file: last_whole_checkpoint(file.parent)):
        with pytest.raises(CheckpointError, match=r'set_crc32_options\(False\)'):
            read(tmp_path / 'epoch_1.pth')


RARE = ['uint16', 'uint32', 'uint64', 'float8_e4m3fn', 'float8_e5m2', 'complex32']


@pytest.mark.filterwarnings('ignore:ComplexHalf')
@pytest.mark.parametrize('kind', RARE)
def test_dtypes_without_a_storage_class_are_read(kind, tmp_path):
    values = torch.arange(12, dtype=torch.float32).reshape(3, 4).to(getattr(torch, kind))
    torch.save(dict(a=values, b=values[1:, ::2]), tmp_path / 'a.pth')
    ours, theirs = read_checkpoint(tmp_path / 'a.pth'), torch.load(tmp_path / 'a.pth', weights_only=True)
    for key, value in theirs.items():
        assert ours[key].dtype == value.dtype and ours[key].stride() == value.stride()
        assert torch.equal(ours[key].contiguous().view(torch.uint8), value.contiguous().view(torch.uint8))


def of_rare_kind(count, kind, size, memory=torch.UntypedStorage):
    claim = Claim(count)
    claim.told = ('storage', memory, '0', 'cpu', count)
    return Call(torch._utils._rebuild_tensor_v3, claim, 0, (size,), (1,), False, OrderedDict(), kind)


@pytest.mark.parametrize(
    'value',
    [
        of_rare_kind(16, torch.uint16, 9),
        of_rare_kind(16, torch.quint8, 2),
        of_rare_kind(16, torch.float32, 2),
        of_rare_kind(16, 'uint16', 2),
        of_rare_kind(4, torch.uint16, 2, torch.FloatStorage),
    ],
)
def test_storages_of_rare_dtypes_are_checked(value, tmp_path):
    write_archive(dict(a=value), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='holds more than weights'):
        read_checkpoint(tmp_path / 'a.pth')


def claimed_of(key, location='cpu'):
    claim = Claim(4, key)
    claim.told = (*claim.told[:3], location, 4)
    return Call(torch._utils._rebuild_tensor_v2, claim, 0, (4,), (1,), False, OrderedDict())


def test_text_from_a_file_is_short_and_printable_in_messages(tmp_path):
    contents = dict(
        key=(dict(a=claimed_of('k' * 10**6)), 'It has no archive/data/kkk'),
        location=(dict(a=claimed_of('0', '\x1b[2J' * 10**5)), 'on the device'),
        names=(None, r'It names os\.\\x1b\[2Jx'),
    )
    for content, told in contents.values():
        members = None if content else {'data.pkl': b'\x80\x02cos\n\x1b[2J' + b'x' * 10**6 + b'\n.'}
        write_archive(content, tmp_path / 'a.pth', members)
        with pytest.raises(CheckpointError, match=told) as caught:
            read_checkpoint(tmp_path / 'a.pth', map_location=None)
        assert len(str(caught.value)) < 2000 and '\x1b' not in str(caught.value)


def test_a_clear_fault_is_not_reported_as_damage(tmp_path, monkeypatch):
    write_archive(dict(a=claimed_of('0', 'meta')), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='"meta", which has no numbers'):
        read_checkpoint(tmp_path / 'a.pth', map_location=None)
    torch.save(dict(a=1), tmp_path / 'a.pth', pickle_protocol=4)
    with pytest.raises(CheckpointError, match='protocol 2.*pickle_protocol'):
        read_checkpoint(tmp_path / 'a.pth')
    torch.save(dict(a=torch.ones(1)), tmp_path / 'a.pth')

    def full(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, 'empty', full)
    with pytest.raises(MemoryError, match='no memory for 4 bytes'):
        read_checkpoint(tmp_path / 'a.pth')
