"""A teacher store of images in shards: rows by shard and key, wherever they are; another content is no row of it."""

import shutil

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.datasets import ImageShards
from mmlgd.datasets.bad_images import bad_images_of
from mmlgd.datasets.tar_members import images_of_tar
from mmlgd.registry import DATASETS, MODELS
from mmlgd.store import SeededViews, StoreError, survey_images
from mmlgd.store.writer import use_store, write_store
from tests import ROOT
from tests.bad_images import encode, photo
from tests.shards import pack, pack_photos

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
VIEWS, IMAGES = 100, 12  # more rows than one part of a store has

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture(scope='module')
def packed(tmp_path_factory):
    return pack_photos(tmp_path_factory.mktemp('packed') / 'data')


@pytest.fixture(scope='module')
def config(recipe_of, packed, tmp_path_factory):
    file = tmp_path_factory.mktemp('config') / 'mine.py'
    file.write_text(
        recipe_of(RECIPE)
        + f"train_dataloader['dataset'].update(type='mmlgd.ImageShards', data_root=r'{packed}', size=32)\n"
        + 'val_cfg = val_dataloader = val_evaluator = None\n'
    )
    return file


@pytest.fixture
def cfg(config):
    return Config.fromfile(config)


@pytest.fixture(scope='module')
def store(config, tmp_path_factory):
    return write_store(Config.fromfile(config), tmp_path_factory.mktemp('store'), VIEWS, seed=3)


@pytest.fixture
def moved(cfg, packed, tmp_path):
    """The shards in another folder, to be changed at will; the config reads them there."""
    shutil.copytree(packed.rpartition('/')[0], tmp_path / 'moved')
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'moved')
    return tmp_path / 'moved'


def replayed(cfg, store):
    use_store(cfg, store.folder)
    return DATASETS.build(cfg.train_dataloader.dataset)


def test_a_row_is_the_teachers_embedding_of_its_view(cfg, store):
    live = MODELS.build(cfg.model).eval()
    views = SeededViews(cfg.train_dataloader.dataset, VIEWS, seed=3)
    dataset = replayed(cfg, store)
    assert store.num_images == IMAGES and len(dataset) == VIEWS * IMAGES
    for row in (0, 13, 1030, VIEWS * IMAGES - 1):
        sample, view = dataset[row], views[row]
        assert torch.equal(sample['inputs'], view['inputs'])
        inputs = live.data_preprocessor(torch.utils.data.default_collate([{'inputs': view['inputs']}]), True)['inputs']
        expected = live.teacher.encode_image(inputs)[0]
        torch.testing.assert_close(sample['teacher_embeddings'].float(), expected, atol=2e-3, rtol=0)
    assert 'train-000000.tar/000001.jpg' in dataset.name_of(13)


def test_shards_that_were_moved_are_the_same_images(cfg, store, moved):
    assert len(replayed(cfg, store)) == VIEWS * IMAGES
    survey = survey_images(ImageShards(data_root=str(moved)))
    assert survey == {key: store.description['images'][key] for key in survey}


@pytest.mark.parametrize('change', ['order', 'key', 'shard', 'size'])
def test_other_images_are_refused(cfg, store, moved, change):
    shard = moved / 'train-000001.tar'
    contents = {name: member.read() for name, member in images_of_tar(str(shard), ('.jpg',))}
    if change == 'order':
        pack(shard, reversed(contents.items()))
    elif change == 'key':
        pack(shard, {name.replace('5', '50'): content for name, content in contents.items()})
    elif change == 'size':
        pack(shard, {name: content + b'more' for name, content in contents.items()})
    else:
        shard.rename(moved / 'train-000001b.tar')
    with pytest.raises(StoreError, match=f'does not fit this data set: .*{"sizes" if change == "size" else "names"}'):
        replayed(cfg, store)


def test_an_image_that_was_exchanged_is_left_out(cfg, store, moved):
    shard = moved / 'train-000001.tar'
    (place,) = (member for name, member in images_of_tar(str(shard), ('.jpg',)) if name == '000005.jpg')
    other = encode(photo(50), 'JPEG')
    with shard.open('r+b') as file:
        file.seek(place.offset)
        file.write((other + bytes(place.size))[: place.size])
    cfg.train_dataloader.dataset.update(bad_images='skip', max_bad_images=1)
    sample = replayed(cfg, store)[IMAGES + 5]
    ((path, reason),) = bad_images_of(dict(data_samples=[sample['data_samples']]))[0].items()
    assert path == f'{shard}/000005.jpg' and 'its file has changed since the teacher store was written' in reason
    assert not sample['data_samples'].img_path.endswith('000005.jpg')


def test_a_bad_image_has_no_embedding(cfg, moved, tmp_path):
    pack(moved / 'train-000003.tar', {'bad.jpg': encode(photo(), 'JPEG')[:300]})
    cfg.train_dataloader.dataset.update(bad_images='skip', max_bad_images=1)
    store = write_store(cfg, tmp_path / 'store', 2)
    assert list(store.bad_images()) == [12] and not store[12].any()
    assert replayed(cfg, store)[12]['teacher_embeddings'].any()


def test_a_stopped_writer_goes_on(cfg, store, tmp_path):
    shutil.copytree(store.folder, tmp_path / 'store')
    (tmp_path / 'store/shards/00001.crc32').unlink()
    written = write_store(cfg, tmp_path / 'store', VIEWS, seed=3)
    assert (written[1100] == store[1100]).all()


def test_training_reads_it(config, store, tmp_path):
    result = mmlgd.train(config, store=store.folder, work_dir=tmp_path / 'run')
    assert result.checkpoint.name == 'epoch_2.pth' and result.losses['loss'] > 0
