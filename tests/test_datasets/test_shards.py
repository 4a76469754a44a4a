"""Which tar files a text stands for, and what is refused before one is opened."""

from pathlib import Path

import pytest

from mmlgd.datasets import shards
from mmlgd.datasets.shards import are_shards, name_of, refuse_remote, shards_of
from mmlgd.errors import ConfigError, MissingFileError


@pytest.fixture
def folder(tmp_path):
    for name in ('train-08.tar', 'train-09.tar', 'train-10.tar', 'val/x.TAR', '.hidden.tar', 'a{b.tar', 'notes.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    'given, found',
    [
        ('train-{08..10}.tar', ['train-08.tar', 'train-09.tar', 'train-10.tar']),
        ('{train-{08..09},val/x}.{tar,TAR}', None),
        ('train-{10,08}.tar', ['train-10.tar', 'train-08.tar']),
        ('train-09.tar', ['train-09.tar']),
        ('a{b.tar', ['a{b.tar']),  # a file that is there is itself
        ('', ['a{b.tar', 'train-08.tar', 'train-09.tar', 'train-10.tar', 'val/x.TAR']),
    ],
)
def test_patterns_folders_and_files(folder, given, found):
    if found is None:
        with pytest.raises(MissingFileError, match=r'3 of 6 shards of .* are missing, first .*train-08\.TAR'):
            shards_of(folder / given)
    else:
        assert shards_of(folder / given) == [str(folder / name) for name in found]


def test_the_home_of_a_user(folder, monkeypatch):
    monkeypatch.setenv('HOME', str(folder))
    assert shards_of('~/train-{08..08}.tar') == [str(folder / 'train-08.tar')]


def test_a_missing_shard_is_named(folder):
    with pytest.raises(MissingFileError, match=r'2 of 5 shards .* are missing, first .*train-07\.tar'):
        shards_of(folder / 'train-{07..11}.tar')
    with pytest.raises(MissingFileError, match='1 of 1 shards'):
        shards_of(folder / 'nowhere.tar')


def test_a_folder_of_compressed_shards(tmp_path):
    (tmp_path / 'a.tar.gz').touch()
    assert are_shards(tmp_path)
    (tmp_path / 'b.tar').touch()
    (tmp_path / 'empty').mkdir()
    with pytest.raises(MissingFileError, match=r'a\.tar\.gz is compressed.*unpacked first'):
        shards_of(tmp_path)  # its images would be missing without a word
    with pytest.raises(MissingFileError, match=r'No file in .* or its sub-folders ends with \.tar.*unpacked first'):
        shards_of(tmp_path / 'empty')


def test_a_shard_is_taken_once(folder):
    with pytest.raises(ConfigError, match='stands for 1 shards twice'):
        shards_of(folder / 'train-{08,09,09}.tar')


@pytest.mark.parametrize('pattern', ['{0..9999999}.tar', '{1..2000}{1..2000}.tar', '{a,b}' * 40 + '.tar'])
def test_braces_of_too_many_shards(pattern, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, '_MOST', 1000)
    with pytest.raises(ConfigError, match='more than 1,000 shards'):
        shards_of(tmp_path / pattern)


def test_braces_that_do_not_match(tmp_path):
    with pytest.raises(ConfigError, match='The braces in .* are not balanced'):
        shards_of(tmp_path / 'train-{00..09.tar')


@pytest.mark.parametrize(
    'source', ['https://host/{0..9}.tar', 's3://bucket/a.tar', 'pipe:cat a.tar', 'gs://b/{0..1}.tar']
)
def test_nothing_is_fetched_and_nothing_is_run(source):
    for function in (refuse_remote, shards_of):
        with pytest.raises(ConfigError, match='not on this machine.*mount'):
            function(source)


def test_images_win_over_an_archive_beside_them(folder):
    assert are_shards(folder) and are_shards(str(folder / 'train-{00..99}.tar')) and are_shards('x/a.tar.gz')
    assert not are_shards(folder / 'notes.txt') and not are_shards(folder / 'nowhere')
    (folder / 'val/a.jpg').touch()
    assert not are_shards(folder)
    (folder / 'photos.tar').mkdir()
    assert not are_shards(folder / 'photos.tar')


@pytest.mark.parametrize(
    'images, name',
    [
        ('/a/photos', 'photos'),
        ('/a/cc3m-train-{0000..0331}.tar', 'cc3m-train'),
        ('/a/{0000..0331}.tar', 'a'),
        ('/a/{x,y}/{00..09}.tar', 'x,y'),
        ('/a/one.tar', 'one'),
    ],
)
def test_the_name_of_images(images, name):
    assert name_of(Path(images)) == name
