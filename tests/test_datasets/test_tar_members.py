"""The images of a tar file: those that webdataset finds, byte for byte; and what is no such file is refused."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile

import pytest

from mmlgd.datasets.bad_images import BadImageError
from mmlgd.datasets.loading import read_bytes
from mmlgd.datasets.tar_members import Member, ShardError, images_of_tar
from mmlgd.utils.files import UnreadableError
from tests.shards import pack, pack_bytes

ENDINGS = ('.jpg', '.png')
LONG = 'folder/' * 30 + 'x.jpg'
NAMES = {
    'a.jpg': True,
    'b.JPG': True,
    'deep/er/c.png': True,
    './d.jpg': True,
    'dotted.folder/e.jpg': True,
    LONG: True,
    'namé\n.jpg': True,
    'http://host/h.jpg': True,
    'a://b://i.jpg': True,
    '../../k.jpg': True,
    '/etc/l.jpg': True,
    'no\udce9utf8.jpg': True,
    'a.cls': False,
    'a.json': False,
    'a.seg.png': False,  # another part of the sample a
    'f.webp': False,
    '.hidden.jpg': False,
    'deep/._c.png': False,
    '__meta__/g.jpg': False,
    'jpg': False,
    'deep/.jpg': False,
}


@pytest.mark.parametrize('layout', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_images_are_found_by_their_endings_and_read_at_their_places(layout, tmp_path):
    contents = {name: os.urandom(k * 300) for k, name in enumerate(NAMES)}
    if layout == tarfile.USTAR_FORMAT:
        del contents[LONG]
    shard = pack(tmp_path / 'a.tar', contents, format=layout)
    with tarfile.open(shard, 'a') as tar:
        for kind in (tarfile.DIRTYPE, tarfile.FIFOTYPE):
            other = tarfile.TarInfo(f'other{kind.decode()}.jpg')
            other.type = kind
            tar.addfile(other)
    found = dict(images_of_tar(str(shard), ENDINGS))
    assert list(found) == [name for name in contents if NAMES[name]]
    for name, member in found.items():
        assert member.read() == read_bytes(name, member=member) == contents[name]


@pytest.mark.filterwarnings('ignore')
def test_webdataset_finds_the_same_images(tmp_path):
    """Written and read by the library whose layout it is."""
    webdataset = pytest.importorskip('webdataset')
    written = {f'{"sub/" * (k % 2)}{k:04d}': os.urandom(100 + k) for k in range(20)}
    with webdataset.TarWriter(str(tmp_path / 'a.tar')) as sink:
        for key, content in written.items():
            sink.write({'__key__': key, 'jpg': content, 'cls': 1, 'seg.png': b'mask', 'json': {}, 'txt': 'a caption'})
    theirs = {sample['__key__']: sample['jpg'] for sample in webdataset.WebDataset(str(tmp_path / 'a.tar'))}
    ours = {name: member.read() for name, member in images_of_tar(str(tmp_path / 'a.tar'), ENDINGS)}
    assert ours == {f'{key}.jpg': content for key, content in theirs.items()}
    assert theirs == written


def test_a_shard_that_is_cut_off_anywhere_is_refused(tmp_path):
    """Or nothing is missing: tar fills up the end of an archive with more zeros than needed."""
    contents = {f'{k}.jpg': os.urandom(700) for k in range(3)}
    whole = pack(tmp_path / 'whole.tar', contents).read_bytes()
    end = 3 * (512 + 1024)
    shard = tmp_path / 'cut.tar'
    for size in (*range(0, end + 600, 100), *range(512, end, 512), end + 511, end + 512):
        shard.write_bytes(whole[:size])
        if size >= end + 512:
            assert [member.read() for _, member in images_of_tar(str(shard), ENDINGS)] == list(contents.values())
        else:
            with pytest.raises(ShardError, match=r'cut\.tar cannot be used: it is cut off.* Copy it again'):
                list(images_of_tar(str(shard), ENDINGS))


def test_a_damaged_header_is_not_the_end(tmp_path):
    whole = bytearray(pack(tmp_path / 'a.tar', {f'{k}.jpg': bytes(700) for k in range(3)}).read_bytes())
    whole[1536 + 20] ^= 1  # of the second image's name: the checksum of the header tells
    (tmp_path / 'a.tar').write_bytes(whole)
    with pytest.raises(ShardError, match='damaged at byte 1536, where a header was expected'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


@pytest.mark.parametrize(
    'rest', [bytes(2**20), pack_bytes({'1.jpg': b'1'})], ids=['a copy that was not finished', 'two files in one']
)
def test_a_file_that_goes_on_after_its_end_is_refused(rest, tmp_path):
    """Images in its rest would be missing without a word."""
    (tmp_path / 'a.tar').write_bytes(pack_bytes({'0.jpg': b'0'}) + rest)
    with pytest.raises(ShardError, match='ends at byte 1024, and the file goes on'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


@pytest.mark.parametrize('blocks', [1, 20, 2048])
def test_an_archive_may_be_filled_up_to_a_record(blocks, tmp_path):
    shard = tmp_path / 'a.tar'
    shard.write_bytes(pack_bytes({'0.jpg': b'0'})[:2048].ljust(512 * max(blocks, 4), b'\0'))
    assert [name for name, _ in images_of_tar(str(shard), ENDINGS)] == ['0.jpg']


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_an_image_that_is_a_link_is_refused(kind, tmp_path):
    """tar keeps one of two names of a file, and links as they are."""
    shard = pack(tmp_path / 'a.tar', {'0.jpg': b'0'})
    with tarfile.open(shard, 'a') as tar:
        for name in ('0.cls', '1.jpg'):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, '0.jpg'
            tar.addfile(link)
    with pytest.raises(ShardError, match='1.jpg in the shard .* is a link to 0.jpg.* --hard-dereference'):
        list(images_of_tar(str(shard), ENDINGS))


def test_a_header_that_leads_back_is_no_circle(tmp_path):
    member = tarfile.TarInfo('1.jpg')
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b'\xff' * 10 + (-1024).to_bytes(2, 'big', signed=True)  # a size of -1024
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    (tmp_path / 'a.tar').write_bytes(pack(tmp_path / 'b.tar', {'0.jpg': b''}).read_bytes()[:512] + header + bytes(1024))
    with pytest.raises(ShardError, match='cannot be used'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


@pytest.mark.parametrize(
    'packed, program, ending', [(gzip, 'gunzip', 'gz'), (bz2, 'bunzip2', 'bz2'), (lzma, 'unxz', 'xz')]
)
@pytest.mark.parametrize('is_named', [False, True])
def test_a_compressed_shard_is_refused_with_the_command_that_unpacks_it(packed, program, ending, is_named, tmp_path):
    folder = tmp_path / 'my data'
    folder.mkdir()
    shard = folder / (f'a.tar.{ending}' if is_named else 'a.tar')
    shard.write_bytes(packed.compress(pack(shard, {'0.jpg': b'image'}).read_bytes()))
    with pytest.raises(ShardError, match=rf'is compressed, .*Unpack it once, .*{program} .*a\.tar') as error:
        list(images_of_tar(str(shard), ENDINGS))
    if not shutil.which(program):
        pytest.skip(f'{program} is not installed')
    subprocess.run(str(error.value).partition('already: ')[2], shell=True, check=True)
    assert [name for name, _ in images_of_tar(str(folder / 'a.tar'), ENDINGS)] == ['0.jpg']


def test_a_name_may_begin_as_a_compressed_file_does(tmp_path):
    shard = pack(tmp_path / 'a.tar', {'BZh0.jpg': b'image'})
    assert [name for name, _ in images_of_tar(str(shard), ENDINGS)] == ['BZh0.jpg']


@pytest.mark.parametrize('content', [b'text', os.urandom(5000), b'PK\3\4' + bytes(600)])
def test_another_kind_of_file_is_refused(content, tmp_path):
    (tmp_path / 'a.tar').write_bytes(content)
    with pytest.raises(ShardError, match='cut off, damaged or no tar file'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / 'a.tar')
    with pytest.raises(UnreadableError, match='a pipe or a device'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


@pytest.mark.parametrize('again', ['a/0.jpg', 'a/0.png', 'a/0.JPG'])
def test_the_same_key_twice_is_refused(again, tmp_path):
    shard = pack(tmp_path / 'a.tar', [('a/0.jpg', b'one'), ('0.jpg', b'another'), (again, b'two')])
    with pytest.raises(ShardError, match=rf'has the key a/0 twice: a/0.jpg and {again}'):
        list(images_of_tar(str(shard), ENDINGS))


def test_an_image_with_holes_is_refused(tmp_path):
    sparse = tarfile.TarInfo('0.jpg')
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b'%011o\0%011o\0' % (4096, 512)  # where the bytes belong, and how many
    header[483:495] = b'%011o\0' % 4608  # the size with its holes
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    (tmp_path / 'a.tar').write_bytes(bytes(header) + bytes(512) + bytes(1024))
    with pytest.raises(ShardError, match='is stored with holes.*--sparse'):
        list(images_of_tar(str(tmp_path / 'a.tar'), ENDINGS))


def test_what_happens_to_a_shard_later_is_a_bad_image(tmp_path):
    shard = pack(tmp_path / 'a.tar', {'0.jpg': bytes(900)})
    ((name, member),) = images_of_tar(str(shard), ENDINGS)
    os.truncate(shard, 1000)
    with pytest.raises(BadImageError, match='has become shorter'):
        read_bytes(name, member=member)
    shard.unlink()
    with pytest.raises(BadImageError, match='No such file'):
        read_bytes(name, member=member)
    with pytest.raises(BadImageError, match='it has 2000000000 bytes, expected'):
        read_bytes(name, member=Member(str(shard), 0, 2 * 10**9))


def test_only_headers_are_read(tmp_path, monkeypatch):
    shard = pack(tmp_path / 'a.tar', {f'{k}.jpg': bytes(10**6) for k in range(20)})
    read = []

    class Counted(io.FileIO):
        def readinto(self, buffer):
            read.append(super().readinto(buffer))
            return read[-1]

    monkeypatch.setattr(tarfile, 'bltn_open', lambda name, mode: io.BufferedReader(Counted(name)))
    assert len(list(images_of_tar(str(shard), ENDINGS))) == 20
    assert 0 < sum(read) < 20 * 2 * io.DEFAULT_BUFFER_SIZE + 10_000
