"""Evaluation images that a start has seen: found by content, and it is said where that cannot be done."""

import shutil

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmlgd.store import TeacherStore, file_digest
from mmlgd.studies import overlap
from mmlgd.studies.overlap import seen_before
from tests.shards import pack


@pytest.fixture
def world(tmp_path):
    """Eight images, the last three for evaluation, and a list of them as mmpretrain reads it."""
    for part, numbers in (('train', range(5)), ('val', range(5, 8))):
        (tmp_path / part / 'cat').mkdir(parents=True)
        for k in numbers:
            Image.new('RGB', (8, 8), (k, 9 * k, 5)).save(tmp_path / part / 'cat' / f'{k}.png')
    return tmp_path


@pytest.fixture
def downstream(world):
    dataset = dict(type='mmpretrain.CustomDataset', data_root=str(world / 'val'), pipeline=[])
    return Config(dict(default_scope='mmpretrain', val_dataloader=dict(dataset=dataset)))


def checkpoint(world, **dataset):
    cfg = dict(model=dict(type='mmlgd.LGD'), train_dataloader=dict(dataset=dataset))
    torch.save(dict(meta=dict(cfg=Config(cfg).pretty_text), state_dict={}), world / 'epoch_1.pth')
    return str(world / 'epoch_1.pth')


def test_copies_under_other_names_are_found(world, downstream):
    start = checkpoint(world, type='mmlgd.Images', data_root=str(world / 'train'))
    told = seen_before(downstream, dict(random='none', lgd=start))
    assert list(told) == ['lgd'] and told['lgd'].startswith('None of the 3 evaluation images is among')
    (world / 'train/new').mkdir()
    shutil.copy(world / 'val/cat/6.png', world / 'train/new/other.png')
    told = seen_before(downstream, dict(lgd=start))
    assert told['lgd'].startswith('WARNING: 1 of the 3 evaluation images are among the pre-training images of lgd')


def test_copies_in_shards_are_found(world, downstream):
    contents = {file.name: file.read_bytes() for file in (world / 'train/cat').iterdir()}
    pattern = str(pack(world / 'shards/train-0.tar', contents).with_name('train-{0..1}.tar'))
    pack(world / 'shards/train-1.tar', {'other.txt': (world / 'val/cat/5.png').read_bytes()})
    start = checkpoint(world, type='mmlgd.ImageShards', data_root=pattern)
    told = seen_before(downstream, dict(lgd=start))['lgd']
    assert told.startswith('None of the 3 evaluation images is among') and pattern in told
    pack(world / 'shards/train-1.tar', {'other.png': (world / 'val/cat/5.png').read_bytes()})
    assert seen_before(downstream, dict(lgd=start))['lgd'].startswith('WARNING: 1 of the 3 evaluation images')
    (world / 'shards/train-1.tar').unlink()
    assert 'was not checked: 1 of 2 shards' in seen_before(downstream, dict(lgd=start))['lgd']


def test_a_store_knows_the_images_of_a_folder_that_is_gone(world, downstream):
    store = TeacherStore.create(world / 'store', dict(views=1, images=dict(count=2), teacher=dict(embed_dim=2)))
    files = [file_digest(str(world / place)) for place in ('train/cat/0.png', 'val/cat/5.png')]
    store.write(0, torch.eye(2).numpy(), files=files)
    inner = dict(type='mmlgd.Images', data_root=str(world / 'gone'))
    start = checkpoint(world, type='mmlgd.StoredTeacherDataset', store=str(world / 'store'), dataset=inner)
    told = seen_before(downstream, dict(lgd=start))['lgd']
    assert told.startswith('WARNING: 1 of the 3 evaluation images are among') and 'by their checksums' in told
    store.write(0, torch.eye(2).numpy())
    assert 'was not checked: the teacher store' in seen_before(downstream, dict(lgd=start))['lgd']


@pytest.mark.parametrize(
    'dataset, words',
    [
        (dict(type='mmlgd.Images', data_root='gone'), 'gone is not here, and no teacher store'),
        (dict(type='ImageNet', data_root='imagenet', split='train'), 'names no folder of images'),
        (dict(type='mmlgd.Images', data_root=3), 'names no folder of images'),
    ],
    ids=['gone', 'list', 'number'],
)
def test_what_a_checkpoint_does_not_say_is_said(world, downstream, dataset, words):
    told = seen_before(downstream, dict(lgd=checkpoint(world, **dataset)))
    assert told['lgd'].startswith('Whether lgd has seen the evaluation images was not checked') and words in told['lgd']


def test_starts_without_a_config_are_not_checked(world, downstream):
    torch.save(dict(state_dict={}), world / 'bare.pth')
    sources = dict(imagenet='torchvision://resnet18', bare=str(world / 'bare.pth'))
    told = seen_before(downstream, sources)
    assert 'does not say which images' in told['imagenet'] and 'no meta.cfg' in told['bare']


def test_images_that_are_not_here_are_not_compared(world, downstream):
    start = checkpoint(world, type='mmlgd.Images', data_root=str(world / 'train'))
    (world / 'val.txt').write_text('cat/5.png 0\nhttp://x/y.png 0\n')
    downstream.val_dataloader.dataset.ann_file = str(world / 'val.txt')
    downstream.val_dataloader.dataset.classes = ['cat']
    assert '1 of the 2 evaluation images are no files' in seen_before(downstream, dict(lgd=start))['lgd']


def test_a_data_set_that_names_no_files_is_not_compared(world, downstream, monkeypatch):
    monkeypatch.setattr(overlap, 'dataset_of', lambda cfg, loader: [1, 2])
    start = checkpoint(world, type='mmlgd.Images', data_root=str(world / 'train'))
    assert 'not checked: the evaluation set, a list, does not say' in seen_before(downstream, dict(lgd=start))['lgd']
