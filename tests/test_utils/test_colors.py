"""Colours of many classes differ, and a class keeps its colour."""

import numpy as np

from mmlgd.utils.colors import distinct_colors


def test_colours_differ_and_keep_their_place():
    many = distinct_colors(150)
    assert many.shape == (150, 3) and len(np.unique(many, axis=0)) == 150
    assert np.array_equal(distinct_colors(7), many[:7])
    distance = np.abs(many[:, None].astype(int) - many[None]).sum(axis=-1) + 999 * np.eye(150, dtype=int)
    assert distance.min() >= 15
    assert len(np.unique(distinct_colors(255), axis=0)) == 255
