"""A share of the labels: nested, the same on every machine, and no image besides."""

import pickle
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import BaseDataset, ConcatDataset, InfiniteSampler, RepeatDataset
from mmengine.registry import DATA_SAMPLERS

from mmlgd.datasets import LabelSampler
from mmlgd.errors import ConfigError


@given(st.integers(1, 300), st.floats(0.1, 100), st.floats(0.1, 100), st.integers(0, 2**32 - 1))
def test_shares_are_nested_and_have_their_size(images, one, other, seed):
    less, more = (LabelSampler(range(images), percent, seed=seed) for percent in sorted((one, other)))
    assert set(less.chosen) <= set(more.chosen) <= set(range(images))
    assert len(more) == len(more.chosen) == max(1, round(images * max(one, other) / 100))


def test_a_round_gives_each_chosen_image_once():
    sampler = LabelSampler(range(50), 20, seed=3)
    order = list(islice(sampler, 30))
    assert [sorted(order[k : k + 10]) for k in (0, 10, 20)] == [sampler.chosen] * 3
    assert order[:10] != order[10:20] and order == list(islice(LabelSampler(range(50), 20, seed=3), 30))


def test_the_draw_follows_from_the_seed_alone():
    assert LabelSampler(range(20), 25, seed=0).chosen == [3, 5, 7, 12, 15]  # Python's sequence for this seed
    assert LabelSampler(range(20), 25, seed=1).chosen != LabelSampler(range(20), 25, seed=0).chosen


def test_all_labels_come_in_the_order_of_mmengine():
    ours = DATA_SAMPLERS.build(dict(type='mmlgd.LabelSampler'), default_args=dict(dataset=range(9), seed=5))
    assert list(islice(ours, 40)) == list(islice(InfiniteSampler(range(9), seed=5), 40))


@pytest.mark.parametrize('percent', [0, -1, 100.5, float('nan')])
def test_a_share_that_is_none(percent):
    with pytest.raises(ConfigError, match=r'in \(0, 100\] per cent, got percent='):
        LabelSampler(range(9), percent)


def test_a_data_set_that_would_show_more_images_is_refused():
    class MultiImageMixDataset:  # mmdet's, whose mosaics read any image
        def __init__(self, dataset):
            self.dataset = dataset

        def __len__(self):
            return len(self.dataset)

    class Joined:  # of several sets, one of them repeated
        def __init__(self, datasets):
            self.datasets = datasets

    images = BaseDataset(lazy_init=True, serialize_data=False)
    images.data_list, images._fully_initialized = [dict(k=k) for k in range(9)], True
    repeated = RepeatDataset(images, 4)
    with pytest.raises(ConfigError, match='its share of a RepeatDataset'):
        LabelSampler(Joined([images, repeated]), 10)
    with pytest.raises(ConfigError, match='its share of a MultiImageMixDataset'):
        LabelSampler(MultiImageMixDataset(images), 50)
    assert len(LabelSampler(ConcatDataset([images, images]), 50)) == 9
    assert len(LabelSampler(repeated, 100)) == 36
    # A set that is repeated as a whole gives a share of its images, and epochs as long as before.
    share = LabelSampler(repeated, 33, seed=0, by_epoch=True)
    assert len(share.chosen) == 3 and max(share.chosen) < 9 and len(list(share)) == 36


def left_out_now_and_then(data):
    return data if np.random.random() < 0.5 else None  # as a crop without a box


def test_an_image_that_is_left_out_is_replaced_by_one_of_the_share():
    def images(names):
        found = BaseDataset(lazy_init=True, serialize_data=False, max_refetch=100, pipeline=[left_out_now_and_then])
        found.data_list, found._fully_initialized = [dict(name=name) for name in names], True
        return found

    joined = ConcatDataset([images('abcdefghij'), images('klmnopqrst')])
    names = 'abcdefghijklmnopqrst'
    for dataset, around in ((joined, joined), (joined.datasets[0], RepeatDataset(joined.datasets[0], 3))):
        sampler = LabelSampler(around, 20, seed=0, by_epoch=True)
        own = {names[k] for k in sampler.chosen}
        copied = pickle.loads(pickle.dumps(dataset))  # as a process of a data loader has it
        assert {data[k]['name'] for data in (dataset, copied) for _ in range(20) for k in sampler.chosen} == own


def test_an_epoch_is_as_long_as_that_of_all_images():
    sampler = LabelSampler(range(50), 20, seed=3, by_epoch=True)
    first = list(sampler)
    assert len(first) == len(sampler) == 50 and set(first) == set(sampler.chosen) and list(sampler) == first
    sampler.set_epoch(1)
    assert set(sampler) == set(first) and list(sampler) != first


def test_two_ranks_share_an_epoch(monkeypatch):
    found = []
    for rank in range(2):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        found.append(list(LabelSampler(range(9), 50, seed=0, by_epoch=True)))
    assert [len(one) for one in found] == [5, 5]  # as DefaultSampler rounds
    assert sorted(one[k] for one in found for k in (0, 1)) == sorted(LabelSampler(range(9), 50, seed=0).chosen)


def test_each_class_gives_the_same_share():
    class Labelled:  # as mmpretrain's data sets
        labels = np.array([0] * 90 + [1] * 8 + [2] * 2)

        def __len__(self):
            return 100

        def get_data_info(self, index):
            return dict(gt_label=self.labels[index])

        def get_gt_labels(self):
            return self.labels

    less, more = (LabelSampler(Labelled(), percent, seed=0).chosen for percent in (10, 50))
    assert np.bincount(Labelled.labels[less]).tolist() == [9, 1, 1]
    assert np.bincount(Labelled.labels[more]).tolist() == [45, 4, 1] and set(less) < set(more)
    Labelled.get_data_info = lambda self, index: dict(gt_label=[0, 1])  # of an image with several
    assert len(LabelSampler(Labelled(), 10, seed=0)) == 10
