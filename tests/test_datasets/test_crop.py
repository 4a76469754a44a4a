"""Crops are Pillow's, drawn and resized."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets.transforms import RandomResizedCrop as PillowCrop

from mmlgd.datasets import RandomResizedCrop


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=25)
@given(st.integers(24, 300), st.integers(24, 300), st.integers(0, 1000))
def test_the_same_seed_gives_pillows_crop(height, width, seed):
    """Drawn alike and resized alike, enlarged or shrunk: pixel by pixel, so in distribution as well."""
    options = dict(scale=64, crop_ratio_range=(0.2, 1.0))
    crops = []
    for transform in (RandomResizedCrop(**options), PillowCrop(**options, backend='pillow')):
        np.random.seed(seed)
        crops.append(transform(dict(img=image(height, width, seed)))['img'].astype(int))
    assert crops[0].shape == (64, 64, 3)
    difference = np.abs(crops[0] - crops[1])
    assert difference.max() <= 2 and difference.mean() < 0.5


def test_the_image_stays_as_it_was():
    original = image(50, 70)
    results = RandomResizedCrop((20, 30))(dict(img=original))
    assert results['img'].shape == (20, 30, 3) and results['img'].dtype == np.uint8
    assert results['img_shape'] == (20, 30)
    np.testing.assert_array_equal(original, image(50, 70))


def test_flipped_channels_and_images():
    """Pillow's RGB read backwards, and a flip, are views with negative strides."""
    for view in (np.s_[:, :, ::-1], np.s_[:, ::-1], np.s_[::-1]):
        crops = []
        for img in (image(40, 40)[view], image(40, 40)[view].copy()):
            np.random.seed(0)
            crops.append(RandomResizedCrop(16)(dict(img=img))['img'])
        np.testing.assert_array_equal(*crops)


def test_it_is_built_from_a_config():
    crop = TRANSFORMS.build(dict(type='mmlgd.RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0)))
    assert isinstance(crop, RandomResizedCrop) and crop.crop_ratio_range == (0.2, 1.0)
    assert repr(crop).startswith('RandomResizedCrop(scale=(32, 32), crop_ratio_range=(0.2, 1.0)')
