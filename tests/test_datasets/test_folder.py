"""Which files are the images of a folder: the same for the check, for training, evaluation and prediction."""

import os

import pytest
from mmengine.logging import MMLogger

from mmlgd.datasets import Images
from mmlgd.datasets.bad_images import BadImages, report_text
from mmlgd.datasets.folder import folder_of, images_in, require_outside
from mmlgd.datasets.loading import read_bytes, read_image
from mmlgd.errors import ConfigError, MissingFileError, MMLGDError, shown
from mmlgd.run.inputs import count_images
from mmlgd.store import SeededViews, survey_images
from mmlgd.student.images import find_images
from tests.bad_images import encode, photo

ENDINGS = ('.jpg', '.png')
PLAIN = dict(with_label=False, serialize_data=False, pipeline=[dict(type='mmlgd.LoadImageFromFile')])
NASTY = ['new\nline.jpg', 'es\x1b[31mcape.jpg', 'no\udce9utf8.jpg', 'sep\u2028.jpg', 'bidi\u202e.jpg']
pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture
def folder(tmp_path):
    """Two ordinary files, one in a sub-folder, and all else that a folder may hold."""
    root = tmp_path / 'images'
    content = encode(photo(), 'JPEG')
    for name in ('a.JPG', 'sub/b.jpg', '._a.JPG', '.thumbnails/a.jpg', '../elsewhere/c.jpg', '../d.jpg', *NASTY):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / 'notes.txt').touch()
    (root / 'linked').symlink_to('../elsewhere')  # a folder
    (root / 'file.jpg').symlink_to('../d.jpg')
    (root / 'again').symlink_to('sub')
    (root / 'loop').symlink_to('loop')
    (root / 'loop.jpg').symlink_to('loop.jpg')
    (root / 'nowhere.jpg').symlink_to('missing')
    (root / 'sub/up').symlink_to('..')
    (root / 'sub/above').symlink_to('../..')
    (root / 'everything').symlink_to('/')
    (root / 'device.jpg').symlink_to('/dev/zero')
    os.mkfifo(root / 'pipe.jpg')
    return root


def test_images_are_regular_files_each_in_one_place(folder):
    expected = sorted(['a.JPG', 'sub/b.jpg', 'linked/c.jpg', 'file.jpg', *NASTY])
    assert sorted(images_in(folder, ENDINGS)) == expected
    assert list(images_in(folder, ENDINGS)) == list(images_in(str(folder), ENDINGS))


def test_folders_that_link_to_each_other_come_to_an_end(tmp_path):
    """Twelve folders, each with links to all: walks along the links would be more than can be counted."""
    for k in range(12):
        (tmp_path / f'{k}').mkdir()
        (tmp_path / f'{k}/{k}.jpg').touch()
        for other in range(12):
            (tmp_path / f'{k}/to{other}').symlink_to(f'../{other}')
    assert sorted(images_in(tmp_path, ENDINGS)) == sorted(f'{k}/{k}.jpg' for k in range(12))


def test_the_data_set_has_them_in_order(folder):
    dataset = Images(data_root=str(folder), **PLAIN, extensions=ENDINGS)
    found = [os.path.relpath(dataset.get_data_info(k)['img_path'], folder) for k in range(len(dataset))]
    assert found == sorted(images_in(folder, ENDINGS))
    assert all(dataset[k]['img'].shape == (40, 48, 3) for k in range(len(dataset)))
    assert survey_images(dataset)['count'] == len(found)


def test_one_ending_is_no_list_of_its_letters(tmp_path):
    for name in ('a.jpg', 'b.log'):
        (tmp_path / name).touch()
    assert len(Images(data_root=str(tmp_path), with_label=False, extensions='.jpg')) == 1


def test_class_folders_are_labelled_in_the_order_of_their_names(folder):
    options = dict(PLAIN, with_label=True, extensions=ENDINGS)
    dataset = Images(data_root=str(folder), **options)
    infos = [dataset.get_data_info(k) for k in range(len(dataset))]
    classes = sorted(place.name for place in folder.iterdir() if place.is_dir() and place.name[0] != '.')
    assert dataset.CLASSES == tuple(classes)
    assert [(info['img_path'], classes[info['gt_label']]) for info in infos] == [
        (str(folder / 'linked/c.jpg'), 'linked'),
        (str(folder / 'sub/b.jpg'), 'sub'),
    ]
    dataset = Images(data_root=str(folder), **options, classes=('sub', 'linked'))  # the folders with images, by name
    assert [info['gt_label'] for info in map(dataset.get_data_info, range(2))] == [1, 0]
    with pytest.raises(ConfigError, match='class folders, but there are 2 class names'):
        Images(data_root=str(folder), **options, metainfo=dict(classes=('cat', 'dog')))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match='no folder of images at .*missing'):
        Images(data_root=str(tmp_path / 'missing'), **PLAIN)
    with pytest.raises(MissingFileError, match='ends with .*jpg'):
        Images(data_root=str(tmp_path), **PLAIN)


def test_images_of_formats_that_are_not_read_are_told(tmp_path, monkeypatch):
    """A folder of a phone: its HEIC files would be missing, and nobody would know."""
    for name in ('a.jpg', 'b.HEIC', 'sub/c.heic', 'sub/d.gif', 'notes.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(photo(), 'JPEG'))
    told = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', told.append)
    assert len(Images(data_root=str(tmp_path), **PLAIN)) == 1 and 'leaves out 1 .gif, 2 .heic' in told[0]
    assert len(Images(data_root=str(tmp_path), **PLAIN, extensions=('.jpg', '.gif'))) == 2
    assert 'leaves out 2 .heic. ' in told[1]
    with pytest.warns(UserWarning, match='leaves out 1 .gif, 2 .heic'):
        assert len(find_images(tmp_path)) == 1
    (tmp_path / 'a.jpg').unlink()
    for use in (lambda: Images(data_root=str(tmp_path), **PLAIN), lambda: count_images(tmp_path, 9)):
        with pytest.raises(MissingFileError, match='It has 1 .gif, 2 .heic'):
            use()


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_folder_that_may_not_be_read_is_named(folder):
    (folder / 'sub').chmod(0)
    with pytest.raises(MMLGDError, match='sub cannot be read .Permission denied'):
        list(images_in(folder, ENDINGS))
    (folder / 'sub').chmod(0o700)


@pytest.mark.parametrize('name', NASTY)
def test_a_name_is_one_line_without_codes_wherever_it_is_shown(name, tmp_path):
    path = str(tmp_path / name)
    (tmp_path / name).write_bytes(b'')
    dataset = Images(data_root=str(tmp_path), **PLAIN)
    with pytest.raises(ValueError) as refused:
        read_image(path)
    with pytest.raises(ValueError) as too_many:
        BadImages('skip', 1).require_few({path: 'bad', 'other': 'bad'}, 9)
    told = [report_text(path, 'bad'), str(refused.value), SeededViews(dataset, 1).name_of(0), shown(path)]
    told += str(too_many.value).splitlines()
    assert sum(f'/{name[:2]}' in text for text in told) == 5
    assert all(text.isprintable() and text.encode() for text in told)
    assert refused.value.path == path


def test_only_regular_files_of_ordinary_size_are_read(folder):
    for name, reason in (
        ('pipe.jpg', 'pipe or a device'),
        ('device.jpg', 'pipe or a device'),
        ('a\0.jpg', 'null byte'),
    ):
        with pytest.raises(ValueError, match=f'it cannot be read .*{reason}'):
            read_image(str(folder / name))
    with (folder / 'sparse.jpg').open('wb') as file:
        file.truncate(60 * 2**30)
    with pytest.raises(ValueError, match='it has 64424509440 bytes, expected 1498764624 at most'):
        read_image(str(folder / 'sparse.jpg'))
    assert len(read_bytes(str(folder / 'a.JPG'))) == (folder / 'a.JPG').stat().st_size


def test_nothing_is_written_into_a_folder_of_images(tmp_path, monkeypatch):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'link').symlink_to('images')
    monkeypatch.chdir(tmp_path / 'images')
    for place, images in (
        ('work_dirs/run', '.'),
        (tmp_path / 'link/run', tmp_path / 'images'),
        ('.', tmp_path / 'link'),
    ):
        with pytest.raises(ConfigError, match=f'The work dir .* lies in .*for example --work-dir {tmp_path}/images_'):
            require_outside(place, images, 'The work dir', '--work-dir')
    with pytest.raises(ConfigError, match=f"--work-dir '{tmp_path}/my images_run'"):  # to be copied
        require_outside(tmp_path / 'my images/run', tmp_path / 'my images', 'The work dir', '--work-dir')
    require_outside(tmp_path / 'images_run', tmp_path / 'images', 'The work dir', '--work-dir')
    require_outside(tmp_path, tmp_path / 'images', 'The work dir', '--work-dir')


@pytest.mark.parametrize(
    'dataset, folder',
    [
        (dict(type='mmlgd.Images', data_root='a'), 'a'),
        (dict(type='RepeatDataset', dataset=dict(type='CustomDataset', data_root='a', data_prefix='b')), 'a/b'),
        (dict(type='mmpretrain.CustomDataset', data_prefix=dict(img_path='b')), 'b'),
        (dict(type='mmlgd.ImageShards', data_root='a/{0..9}.tar'), 'a/{0..9}.tar'),
        (dict(type='mmlgd.Images', data_root='a', ann_file='list.txt'), None),
        (dict(type='mmlgd.Images', data_root='s3://a'), None),
        (dict(type='mmlgd.ImageShards', data_root='~/a'), os.path.expanduser('~/a')),
        (dict(type='mmlgd.Images', data_root='a', data_prefix='~/b'), os.path.expanduser('~/b')),
        (dict(type='mmlgd.ImageShards', data_root=['a.tar']), None),
        (dict(type='mmlgd.Images', data_root=3), None),
        (dict(type='mmdet.CocoDataset', data_root='a'), None),
        (3, None),
        ({}, None),
    ],
)
def test_the_folder_of_a_data_set(dataset, folder):
    found = folder_of(dataset)
    assert found is None if folder is None else found.as_posix() == folder
