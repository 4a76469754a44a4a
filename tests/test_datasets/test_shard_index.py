"""Where the images of all shards lie: in their order, kept for the next start, and shared by the ranks of a run."""

import errno
import os
import pickle

import numpy as np
import pytest
from mmengine.logging import MMLogger
from safetensors.numpy import save

from mmlgd.datasets import shard_index
from mmlgd.datasets.shard_index import ShardIndex
from mmlgd.datasets.shards import shards_of
from mmlgd.datasets.tar_members import ShardError, images_of_tar
from mmlgd.errors import MissingFileError
from mmlgd.utils.files import WriteError
from tests.shards import pack, pack_photos

ENDINGS = ('.jpg', '.png')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache/shards'


@pytest.fixture
def read(monkeypatch):
    """The shards whose headers are read."""
    names = []

    def images(shard, endings):
        names.append(os.path.basename(shard))
        return images_of_tar(shard, endings)

    monkeypatch.setattr(shard_index, 'images_of_tar', images)
    return names


@pytest.fixture
def shards(tmp_path):
    pack_photos(tmp_path / 'data')
    pack(tmp_path / 'data/train-000001.tar', {'0.cls': b'1'})  # a shard without an image among others
    pack(tmp_path / 'data/train-000003.tar', {'deep/namé.jpg': b'12', 'no\udce9utf8.png': b''})
    return shards_of(tmp_path / 'data')


def test_all_images_in_order(shards, cache):
    index = ShardIndex(shards, ENDINGS)
    expected = [(f'{shard}/{name}', member) for shard in shards for name, member in images_of_tar(shard, ENDINGS)]
    assert [(info['img_path'], info['member']) for info in index] == expected and len(index) == 10
    assert index[-1] == index[9] == index[8:][1] and index[:2] == [index[0], index[1]]
    assert index[-2]['img_path'].endswith('train-000003.tar/deep/namé.jpg')
    with pytest.raises(IndexError):
        index[10]
    assert list(pickle.loads(pickle.dumps(index))) == list(index)


def test_headers_are_read_once(shards, cache, read):
    first = list(ShardIndex(shards, ENDINGS))
    assert sorted(read) == [f'train-{k:06d}.tar' for k in range(4)]
    del read[:]
    assert list(ShardIndex(shards, ENDINGS[::-1])) == first and not read
    assert len(ShardIndex(shards, ('.png',))) == 1 and len(read) == 4  # other endings are another list
    del read[:]
    pack_photos(cache.parent.parent / 'data', shards=1, each=5)
    assert len(ShardIndex(shards, ENDINGS)) == 11 and read == ['train-000000.tar']
    del read[:]
    os.utime(shards[2], ns=(1, 1))  # exchanged for another one of the same size
    assert len(ShardIndex(shards, ENDINGS)) == 11 and read == ['train-000002.tar']


DAMAGES = {
    'empty': lambda content: b'',
    'other': lambda content: b'\xff' * 100,
    'of another program': lambda content: save(dict(sizes=np.zeros(9))),
    'cut off': lambda content: content[:-1],
    'a bit': lambda content: content[:-1] + bytes([content[-1] ^ 64]),
}


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_list_is_made_again(shards, cache, read, damage):
    first = list(ShardIndex(shards, ENDINGS))
    del read[:]
    for file in cache.iterdir():
        file.write_bytes(damage(file.read_bytes()))
    assert list(ShardIndex(shards, ENDINGS)) == first and len(read) == 4
    del read[:]
    assert list(ShardIndex(shards, ENDINGS)) == first and not read


def test_without_a_cache_each_start_reads_them(shards, cache, read, capfd):
    cache.parent.write_text('a file, not a folder')
    MMLogger.get_instance('without a cache')
    for count in (4, 8):
        assert len(ShardIndex(shards, ENDINGS)) == 10 and len(read) == count
    assert ''.join(capfd.readouterr()).count('Cannot keep lists of images in') == 1  # not once for each shard


def test_where_a_list_cannot_be_written_its_images_are_there(shards, cache, monkeypatch, capfd):
    def refuse(file, content, shared):
        raise WriteError(f'Cannot write {file}') from OSError(errno.EROFS, 'Read-only file system')

    monkeypatch.setattr(shard_index, 'write_whole', refuse)
    MMLogger.get_instance('read-only')
    assert len(ShardIndex(shards, ENDINGS)) == 10
    assert ''.join(capfd.readouterr()).count(f'in {cache} (Read-only file system)') == 1


def test_each_rank_begins_elsewhere(shards, cache, read, monkeypatch):
    monkeypatch.setattr(shard_index, '_AT_A_TIME', 1)
    monkeypatch.setattr(shard_index, 'get_dist_info', lambda: (1, 2))
    second = list(ShardIndex(shards, ENDINGS))
    assert [int(name[6:12]) for name in read] == [2, 3, 0, 1]
    monkeypatch.setattr(shard_index, 'get_dist_info', lambda: (0, 2))
    assert list(ShardIndex(shards, ENDINGS)) == second and len(read) == 4


def test_an_error_of_one_shard_ends_it(shards, cache):
    os.truncate(shards[2], 700)
    with pytest.raises(ShardError, match=r'train-000002\.tar cannot be used'):
        ShardIndex(shards, ENDINGS)


def test_no_image_at_all(shards, cache):
    with pytest.raises(MissingFileError, match=r'no image in 4 shards, first .*0\.tar: .* \.webp\. .*KEY\.small\.jpg'):
        ShardIndex(shards, ('.webp',))
