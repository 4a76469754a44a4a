"""Gains are paired over seeds; labels are interpolated within the measured shares only."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from mmlgd.studies.gains import Worth, gain_of, worth_in_labels


def test_a_gain_is_paired_and_has_the_interval_of_scipy():
    # The seeds differ by far more than the starts: unpaired, the spread would hide the gain.
    random, lgd = {0: 10.0, 1: 30.0, 2: 50.0}, {0: 12.0, 1: 32.5, 2: 51.5}
    gain = gain_of(lgd, random)
    assert gain.mean == pytest.approx(2.0) and gain.spread == pytest.approx(0.5)
    expected = bootstrap(([2.0, 2.5, 1.5],), np.mean, method='percentile', random_state=0).confidence_interval
    assert gain.interval == tuple(expected) and 1.5 <= gain.interval[0] < 2 < gain.interval[1] <= 2.5
    assert (gain.same_sign, gain.seeds) == (3, 3) and gain == gain_of(lgd, random)


def test_a_loss_counts_the_seeds_that_lose():
    gain = gain_of({0: 9.0, 1: 7.0, 2: 11.0}, {0: 10.0, 1: 10.0, 2: 10.0})
    assert gain.mean == -1 and gain.same_sign == 2


def test_one_seed_has_no_interval():
    assert gain_of({4: 3.0}, {4: 1.0})[:3] == (2.0, 0.0, None)


@pytest.mark.parametrize(
    'value, worth',
    [
        (20.0, Worth(10)),
        (30.0, Worth(10**1.5)),
        (40.0, Worth(100)),
        (19.9, Worth(10, -1)),
        (40.1, Worth(100, 1)),
    ],
)
def test_a_figure_is_worth_a_share_of_the_labels(value, worth):
    found = worth_in_labels(value, {100: {0: 39.0, 1: 41.0}, 10: {0: 20.0, 1: 20.0}})
    assert found.share == pytest.approx(worth.share) and found.side == worth.side


def test_a_curve_that_falls_gives_no_share():
    assert worth_in_labels(15.0, {10: {0: 20.0}, 50: {0: 10.0}, 100: {0: 30.0}}) == Worth(None)
