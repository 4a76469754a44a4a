"""A share of the labels: nested, the same on every machine, and no image besides."""

from itertools import islice

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

    images = BaseDataset(lazy_init=True, serialize_data=False)
    images.data_list, images._fully_initialized = [dict(k=k) for k in range(9)], True
    repeated = RepeatDataset(images, 4)
    with pytest.raises(ConfigError, match='its share of a RepeatDataset'):
        LabelSampler(repeated, 10)
    assert len(LabelSampler(repeated, 100)) == 36
    with pytest.raises(ConfigError, match='its share of a MultiImageMixDataset'):
        LabelSampler(MultiImageMixDataset(images), 50)
    assert len(LabelSampler(ConcatDataset([images, images]), 50)) == 9
