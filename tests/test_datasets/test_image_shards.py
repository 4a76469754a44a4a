"""Shards as a data set: what a folder of the same images gives, image by image, in each process."""

import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler

from mmlgd.datasets import BadImageError, Images, ImageShards, TooManyBadImagesError
from mmlgd.datasets.bad_images import bad_images_of
from mmlgd.datasets.collate import default_collate
from mmlgd.datasets.shards import shards_of
from mmlgd.datasets.tar_members import ShardError, images_of_tar
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.registry import DATASETS
from tests.shards import pack, pack_photos

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')
VIEW = dict(view='crop-flip', size=16)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """The pattern of three shards of four images, and a folder of the same files."""
    root = tmp_path_factory.mktemp('photos')
    pattern = pack_photos(root / 'shards')
    for shard in shards_of(pattern):
        for name, member in images_of_tar(shard, ('.jpg',)):
            (root / 'folder').mkdir(exist_ok=True)
            (root / 'folder' / name).write_bytes(member.read())
    return pattern, root / 'folder'


def seen(dataset, workers=0, rank=0, world_size=1, epoch=3):
    """Pixels and file names of an epoch."""
    sampler = DefaultSampler(dataset, seed=7)
    sampler.rank, sampler.world_size = rank, world_size
    sampler.num_samples = sampler.total_size = len(dataset) // world_size
    sampler.total_size *= world_size
    sampler.set_epoch(epoch)
    torch.manual_seed(epoch), np.random.seed(epoch)
    options = dict(num_workers=workers, collate_fn=default_collate)
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=2, sampler=sampler, **options))
    names = [sample.img_path.split('/')[-1] for batch in batches for sample in batch['data_samples']]
    return torch.cat([batch['inputs'] for batch in batches]), names


def test_an_epoch_is_that_of_a_folder(photos):
    pattern, folder = photos
    shards = ImageShards(data_root=pattern, **VIEW)
    images = Images(data_root=str(folder), with_label=False, **VIEW)
    assert len(shards) == len(images) == 12
    pixels, names = seen(shards)
    expected, same = seen(images)
    assert names == same and torch.equal(pixels, expected)
    assert sorted(seen(shards, workers=2)[1]) == sorted(names) and seen(shards, workers=2)[1] == names
    halves = [seen(shards, rank=rank, world_size=2)[1] for rank in range(2)]
    assert [name for pair in zip(*halves) for name in pair] == names
    assert seen(shards, epoch=4)[1] != names


def test_it_is_built_from_a_config_with_the_keys_of_ours(photos):
    pattern, _ = photos
    settings = dict(type='mmlgd.ImageShards', data_root=pattern, data_prefix='', with_label=False, bad_images='skip')
    dataset = DATASETS.build(dict(settings, **VIEW, max_bad_images=0.01))
    info = dataset.get_data_info(-1)
    assert info['sample_idx'] == 11 and info['img_path'].endswith('shards/train-000002.tar/000011.jpg')
    few = DATASETS.build(dict(settings, indices=5))
    assert len(few) == 5 and few.get_data_info(4)['img_path'].endswith('train-000001.tar/000004.jpg')
    assert 'ImageShards' in repr(few)


def test_a_bad_image_is_replaced_and_reported(photos, tmp_path):
    folder = shutil.copytree(shards_of(photos[0])[0][: -len('train-000000.tar')], tmp_path / 'shards')
    with open(folder / 'train-000001.tar', 'r+b') as file:
        for name, member in images_of_tar(file.name, ('.jpg',)):
            if name == '000005.jpg':
                file.seek(member.offset + member.size // 2)
                file.write(bytes(member.size // 2))
    path = f'{folder}/train-000001.tar/000005.jpg'
    dataset = ImageShards(data_root=str(folder), bad_images='skip', **VIEW)
    for k in range(12):
        sample = dataset[k]
        (told,) = bad_images_of(default_collate([sample]))
        assert list(told) == ([path] if k == 5 else [])
        assert sample['data_samples'].img_path != path
    with pytest.raises(BadImageError, match=f'{path} cannot be used: it is cut off'):
        ImageShards(data_root=str(folder), **VIEW)[5]
    shutil.rmtree(folder)
    with pytest.raises(TooManyBadImagesError, match='No such file'):
        [dataset[k] for k in range(12)]


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(ann_file='a.txt'), "ann_file is 'a.txt', but shards have all images"),
        (dict(data_prefix='train'), "data_prefix is 'train'"),
        (dict(with_label=True), 'labels in shards are not read'),
        (dict(pipeline=[dict(type='mmpretrain.ResizeEdge', scale=8)]), 'begins with .*mmlgd.LoadImageFromFile'),
        (dict(bad_images='skip', test_mode=True), 'evaluation never skips images'),
        (dict(data_root='s3://bucket/{0..9}.tar'), 'not on this machine'),
        (dict(data_root=['a.tar', 'b.tar']), r"one text: a pattern .* got \['a.tar', 'b.tar'\]. Braces"),
        (dict(indices=[0, 12]), r'indices=\[0, 12\] are no images of .*shards.*, which has 12'),
    ],
)
def test_what_is_refused(photos, options, message):
    with pytest.raises(ConfigError, match=message):
        ImageShards(**{'data_root': photos[0], **options})


def test_the_other_type_is_named(photos):
    for place in (photos[0], shards_of(photos[0])[0]):
        with pytest.raises(ConfigError, match="are tar shards. Give the data set type='mmlgd.ImageShards'"):
            Images(data_root=place, with_label=False)
    with pytest.raises(MissingFileError, match='ends with .tar'):
        ImageShards(data_root=str(photos[1]))


def test_paths_are_below_one_folder(photos, tmp_path, monkeypatch):
    """So a teacher store knows its images wherever the shards are."""
    pack(tmp_path / 'a/x.tar', {'0.jpg': b''})
    pack(tmp_path / 'b/x.tar', {'0.jpg': b''})
    monkeypatch.chdir(tmp_path)
    dataset = ImageShards(data_root='{a,b}/x.tar')
    assert dataset.data_root == str(tmp_path)
    assert [dataset.get_data_info(k)['img_path'] for k in range(2)] == [f'{tmp_path}/{k}/x.tar/0.jpg' for k in 'ab']


def test_images_with_masks_beside_them_are_named_by_their_ending(tmp_path):
    shard = pack(tmp_path / 'a.tar', [(f'{k}.{ending}', b'') for k in range(3) for ending in ('jpg', 'png')])
    with pytest.raises(ShardError, match=r'the key 0 twice.*extensions=\[\.jpg\]'):
        ImageShards(data_root=str(shard))
    assert len(ImageShards(data_root=str(shard), extensions=['.jpg'])) == 3
