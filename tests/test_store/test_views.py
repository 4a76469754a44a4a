import random

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmlgd.errors import MissingFileError
from mmlgd.store import SeededViews
from mmlgd.utils.seeds import seeded
from tests import ROOT

IMAGES = ROOT / 'configs/_base_/datasets/images.py'


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.fixture
def dataset(images):
    """The MoCo-v2 pipeline of our configs: all of its random choices have to follow from the seed."""
    cfg = Config.fromfile(IMAGES).train_dataloader.dataset
    cfg.data_root, cfg._scope_ = str(images), 'mmpretrain'
    return cfg


def test_choices_inside_follow_from_the_numbers_and_those_outside_do_not_change():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    undisturbed = [draw() for _ in range(2)]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    first = draw()
    with seeded(3, 1, 4):
        inside = draw()
    assert [first, draw()] == undisturbed
    with seeded(3, 1, 4):
        assert draw() == inside
    with seeded(3, 1, 5):
        assert not set(draw()) & set(inside)


def test_generators_are_put_back_after_an_error():
    torch.manual_seed(2)
    expected = torch.rand(1)
    torch.manual_seed(2)
    with pytest.raises(OSError), seeded(0):
        raise OSError
    assert torch.equal(torch.rand(1), expected)


def test_views_are_replayed_pixel_by_pixel_in_any_order_and_process(dataset):
    views = SeededViews(dataset, views=3, seed=5, noise=4)
    assert len(views) == 36 and views.num_images == 12
    forwards = [views[i] for i in range(36)]
    torch.rand(7), np.random.rand(7)
    again = SeededViews(dataset, views=3, seed=5, noise=4)
    loader = torch.utils.data.DataLoader(again, batch_size=None, sampler=range(35, -1, -1), num_workers=2)
    for old, new in zip(reversed(forwards), loader):
        assert torch.equal(old['inputs'], new['inputs'])
        assert torch.equal(old['augmentation_noise'], new['augmentation_noise'])


def test_views_of_an_image_and_seeds_differ(dataset):
    views, others = SeededViews(dataset, 2), SeededViews(dataset, 2, seed=1)
    assert not torch.equal(views[0]['inputs'], views[12]['inputs'])
    assert not torch.equal(views[0]['inputs'], others[0]['inputs'])
    assert 'augmentation_noise' not in views[0]


def test_no_views_are_refused(dataset):
    with pytest.raises(ValueError, match="views of each image from 1 .* got '0'"):
        SeededViews(dataset, 0)


def test_data_that_no_library_can_read_are_named(tmp_path):
    with pytest.raises(MissingFileError, match='train_dataloader cannot be built from .*data_root=.*gone'):
        SeededViews(dict(type='mmpretrain.CustomDataset', data_root=str(tmp_path / 'gone')), views=2)
