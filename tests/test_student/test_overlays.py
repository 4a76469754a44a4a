"""Overlays show each name in its colour, with a legend that fits."""

import numpy as np
import pytest
import torch

from mmlgd.student.overlays import captioned, overlay, palette
from mmlgd.student.segment import Segmentation
from mmlgd.utils import fonts

OF_STIX = 'ᶁᶄᶊ'  # STIXGeneral, which comes with matplotlib, has these letters, and matplotlib's own font lacks them
PANDA = '熊猫'


def drawn(labels, names, shape=None):
    labels = torch.as_tensor(labels, dtype=torch.uint8)
    image = np.full((*(shape or labels.shape), 3), (200, 100, 0), dtype=np.uint8)  # BGR
    return overlay(image, Segmentation(labels, torch.ones(labels.shape), names))


def test_pixels_have_the_colour_of_their_name_and_those_without_stay():
    labels = np.zeros((400, 400))
    labels[:, 200:] = 1
    labels[300:] = 255
    image = np.asarray(drawn(labels, ['cat', 'dog|hound']))
    for place, k in (((100, 100), 0), ((100, 300), 1)):
        np.testing.assert_allclose(image[place], 0.45 * np.array([0, 100, 200]) + 0.55 * palette(2)[k], atol=1)
    assert image[390, 200].tolist() == [0, 100, 200]
    legend = image[:, 400:].reshape(-1, 3)
    assert all((legend == color).all(axis=1).any() for color in palette(2)[:2])


@pytest.mark.parametrize('shape', [(1, 1), (3, 900), (40, 48), (5000, 30)])
def test_images_of_any_shape(shape):
    image = drawn(np.zeros(shape), ['a' * 300])
    assert image.height >= 40 and image.width < 2200


@pytest.mark.parametrize('names', [2, 12, 150, 255])
def test_the_legend_fits(names):
    labels = np.arange(names, dtype=np.uint8).repeat(-(-90000 // names))[:90000].reshape(300, 300)
    image = drawn(labels, [f'name {k}' for k in range(names)])
    assert image.height == 360  # enlarged; no legend is longer than the image


def test_a_strip_has_its_names_beside_it():
    labels = np.arange(900).repeat(2).reshape(900, 2).T // 225  # 2 x 900, four names
    image = np.asarray(drawn(labels, ['sky', 'road', 'tree', 'car']))
    beside = image[:, 900:].reshape(-1, 3)
    assert all((beside == color).all(axis=1).any() for color in palette(4)[:4])


@pytest.mark.parametrize('shape', [(1, 1), (64, 64), (900, 30), (30, 900)])
def test_a_caption_hides_nothing_and_is_never_cut(shape):
    name = 'the longest name that fits in a line: 40'
    image = captioned(np.full((*shape, 3), (200, 100, 0), dtype=np.uint8), ['cat', f'{name}|other'], 1, 0.935)
    pixels = np.asarray(image)
    assert pixels[32, 0].tolist() == [0, 100, 200] and pixels[-1, 0].tolist() == [0, 100, 200]
    strip = pixels[:32].min(axis=(0, 2))
    assert strip.min() < 100 and strip[:8].min() == strip[-8:].min() == 255
    assert pixels[32:].shape[0] >= min(360, 360 * shape[0] // max(shape))


@pytest.mark.parametrize('draw', [
    lambda names, k: captioned(np.zeros((64, 64, 3), dtype=np.uint8), names, k, 0.5).crop((0, 0, 200, 32)),
    lambda names, k: drawn(np.full((360, 360), k), names).crop((390, 0, 600, 40)),
])  # fmt: skip
def test_a_name_is_written_in_a_font_that_has_it(draw):
    pictures = [draw([*OF_STIX], k).tobytes() for k in range(3)]
    assert len({*pictures}) == 3  # a font without a character draws one box for each that it lacks


def test_characters_that_no_font_has_are_told_once(monkeypatch):
    monkeypatch.setattr(fonts, '_regular_fonts', lambda: [fonts.Font('none', '', frozenset('x'))])
    told = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, *args, **kwargs: told.append(text))
    for k in range(2):
        captioned(np.zeros((64, 64, 3), dtype=np.uint8), ['cat', *PANDA], k, 0.5)
    drawn(np.ones((64, 64)), ['cat', *PANDA])
    assert len(told) == 1 and repr(PANDA) in told[0] and '2 characters' in told[0]
