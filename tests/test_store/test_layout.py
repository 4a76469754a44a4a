import errno
import os
import pickle
import resource
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd.store import StoreError, TeacherStore, description, layout
from mmlgd.utils.files import WriteError, write_whole
from tests import children
from tests.malicious import ENDLESS


def unit(n, d=4, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def create(folder, views=2, images=700, d=4):
    return TeacherStore.create(folder, dict(views=views, images=dict(count=images), teacher=dict(embed_dim=d)))


@pytest.fixture
def store(tmp_path):
    """1400 rows in two shards."""
    store = create(tmp_path)
    for shard in range(store.num_shards):
        rows = store.rows_of(shard)
        store.write(shard, unit(len(rows), seed=shard))
    return store


@settings(max_examples=50)
@given(views=st.integers(1, 40), images=st.integers(1, 5_000_000))
def test_shards_cover_every_row_once_and_are_few(views, images):
    store = TeacherStore.__new__(TeacherStore)
    rows = max(1024, -(-views * images // 512))
    store.description = dict(views=views, images=dict(count=images), shard_rows=rows)
    assert store.num_shards <= 512
    assert store.rows_of(0).start == 0 and store.rows_of(store.num_shards - 1).stop == views * images
    for k in range(min(store.num_shards - 1, 3)):
        assert store.rows_of(k).stop == store.rows_of(k + 1).start


def test_rows_come_back_in_half_precision(store, tmp_path):
    assert store.num_shards == 2
    expected = np.concatenate([unit(len(store.rows_of(k)), seed=k) for k in range(2)]).astype(np.float16)
    read = TeacherStore(tmp_path)
    read.require_complete()
    assert all(np.array_equal(read[row], expected[row]) for row in (0, 1023, 1024, 1399))
    np.testing.assert_allclose(np.linalg.norm(read[5].astype(np.float32)), 1, atol=1e-3)


def test_a_worker_maps_its_own_shards(store):
    row = store[3]
    copied = pickle.loads(pickle.dumps(store))
    assert store._shards and not copied._shards
    assert np.array_equal(copied[3], row)


def test_an_unfinished_store_is_refused(tmp_path):
    store = create(tmp_path)
    store.write(1, unit(len(store.rows_of(1))))
    with pytest.raises(StoreError, match='not finished: 1 of 2 shards'):
        TeacherStore(tmp_path).require_complete()
    assert store.missing() == [0]


def test_shards_of_an_unknown_store_are_not_taken_over(tmp_path):
    create(tmp_path).write(1, unit(len(TeacherStore(tmp_path).rows_of(1))))
    (tmp_path / 'store.json').unlink()
    with pytest.raises(StoreError, match='shards of a teacher store whose store.json is gone'):
        create(tmp_path)


def write_all(folder, fault, *details):
    store = TeacherStore(folder)
    for shard in store.missing():
        if shard == 1:
            fault(*details)
        rows = store.rows_of(shard)
        store.write(shard, unit(len(rows), seed=shard))


@children.in_one_worker
@pytest.mark.parametrize('file', ['00001.npy*', '00001.crc32*'])
def test_a_writer_that_is_killed_in_a_shard_goes_on_with_it(tmp_path, file):
    folder = tmp_path / 'store'
    create(folder)
    code, log = children.run(write_all, folder, children.die_in_write, file, log=tmp_path / 'log')
    assert code == -9, log
    store = TeacherStore(folder)
    with pytest.raises(StoreError, match='not finished: 1 of 2 shards'):
        store.require_complete()
    assert store.missing() == store.missing(verify=True) == [1]
    code, log = children.run(write_all, folder, print, log=tmp_path / 'log')
    assert code == 0, log
    assert store.missing(verify=True) == []
    assert {f.name for f in folder.rglob('*.*')} == {
        'store.json',
        *(f'0000{k}.{ending}' for k in (0, 1) for ending in ('npy', 'crc32')),
    }


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def test_a_shard_whose_second_writing_was_stopped_is_missing(store, tmp_path, monkeypatch):
    """Else the store would count as complete, and a training would meet the damage at some step."""

    def stopped(file, content):
        if file.suffix == '.crc32':
            raise KeyboardInterrupt
        write_whole(file, content)

    monkeypatch.setattr(layout, 'write_whole', stopped)
    with pytest.raises(KeyboardInterrupt):
        store.write(1, unit(len(store.rows_of(1)), seed=7))
    assert TeacherStore(tmp_path).missing() == [1]


@children.in_one_worker
def test_a_full_disk_leaves_the_shards_that_were_written(tmp_path):
    folder = tmp_path / 'store'
    create(folder)
    code, log = children.run(write_all, folder, limit_file_size, log=tmp_path / 'log')
    assert code == 1 and f'Cannot write {folder}/shards/00001.npy: File too large. It takes 3136 bytes' in log
    assert TeacherStore(folder).missing(verify=True) == [1]
    assert not list(folder.rglob('*.part'))


@pytest.mark.parametrize('damage', ['truncate', 'flip', 'remove', 'empty', 'other dtype'])
def test_damage_is_found_when_the_shard_is_first_read(store, tmp_path, damage):
    file = tmp_path / 'shards/00001.npy'
    content = file.read_bytes()
    if damage == 'truncate':
        file.write_bytes(content[:-100])
    elif damage == 'flip':
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == 'remove':
        file.unlink()
    elif damage == 'empty':
        file.write_bytes(b'')
    else:
        np.save(file, unit(376))
    read = TeacherStore(tmp_path)
    read[0]  # the other shard is whole
    with pytest.raises(StoreError, match='(?s)Shard 1 .*--verify'):
        read[1024]
    assert read.missing(verify=True) == [1] and read.missing() == []


def test_a_pickle_in_place_of_a_shard_is_not_opened(store, tmp_path):
    np.save(tmp_path / 'shards/00000.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match='cannot be read'):
        TeacherStore(tmp_path)[0]


@pytest.mark.parametrize('value', [0.0, np.nan, np.inf])
def test_a_useless_embedding_is_named_and_not_stored(tmp_path, value):
    store = create(tmp_path, views=2, images=10)
    rows = unit(20)
    rows[13] = value
    with pytest.raises(StoreError, match='image 3, view 1'):
        store.write(0, rows)
    assert store.missing() == [0]


def test_rows_of_another_number_or_length_are_refused(tmp_path):
    store = create(tmp_path, views=2, images=10)
    with pytest.raises(StoreError, match=r'\(20, 4\), got \(19, 4\)'):
        store.write(0, unit(19))


def test_missing_damaged_and_foreign_stores_are_refused(tmp_path):
    with pytest.raises(StoreError, match='no teacher store'):
        TeacherStore(f'/{"gone" * 99}/store')  # as for a folder that this user may not read
    with pytest.raises(StoreError, match='no teacher store.*mmlgd store'):
        TeacherStore(tmp_path)
    (tmp_path / 'store.json').write_text('{"format": 7}')
    with pytest.raises(StoreError, match='format 7'):
        TeacherStore(tmp_path)
    for text in ('{"format": 1', '[]', ''):
        (tmp_path / 'store.json').write_text(text)
        with pytest.raises(StoreError, match='damaged'):
            TeacherStore(tmp_path)


def test_a_description_that_may_not_be_read_is_not_called_damaged(store, monkeypatch):
    def refuse(file, *args):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(description, 'read_small', refuse)  # root may read all files
    with pytest.raises(StoreError, match='store.json cannot be read: Permission denied. Check who may read it'):
        TeacherStore(store.folder)


def test_an_earlier_description_is_read(store, tmp_path):
    file = tmp_path / 'store.json'
    file.write_text(file.read_text().replace('"images"', '"pictures"'))
    assert TeacherStore(tmp_path).num_images == store.num_images == 700


def test_shards_that_lead_outside_are_not_written(store, tmp_path):
    outside, folder = tmp_path / 'outside', tmp_path / 'planted'
    outside.mkdir()
    folder.mkdir()
    (folder / 'shards').symlink_to(outside)
    with pytest.raises(WriteError, match=f'shards is a link to {outside}'):
        create(folder)
    (tmp_path / 'shards').rename(tmp_path / 'real')
    (tmp_path / 'shards').symlink_to(tmp_path / 'real')
    with pytest.raises(WriteError, match='shards is a link'):
        store.write(0, unit(1024))
    assert not list(outside.iterdir())


@pytest.mark.parametrize('kind', ENDLESS)
@pytest.mark.parametrize('ending', ['.bad', '.files', '.crc32', '.npy'])
def test_files_without_end_are_refused(ending, kind, store, tmp_path):
    file = (tmp_path / 'shards/00000.npy').with_suffix(ending)
    file.unlink(missing_ok=True)
    ENDLESS[kind](file)
    with pytest.raises(StoreError, match=r'00000\.bad is damaged|Shard 0 .*(is missing|cannot be read|checksum)'):
        TeacherStore(tmp_path).bad_images() if ending == '.bad' else TeacherStore(tmp_path)[0]


def test_a_description_without_end_is_refused(store, tmp_path):
    os.truncate(tmp_path / 'store.json', 2**40)
    with pytest.raises(StoreError, match='store.json cannot be read: it has 1099511627776 bytes'):
        TeacherStore(tmp_path)


def test_a_header_of_gigabytes_is_not_read(store, tmp_path):
    file = tmp_path / 'shards/00000.npy'
    file.write_bytes(b'\x93NUMPY\2\0' + (2**31).to_bytes(4, 'little'))
    os.truncate(file, 2**32)
    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match='header'):
            TeacherStore(tmp_path)[0]
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
