"""Gains of starts, paired over seeds, and what they are worth in labels."""

from collections.abc import Mapping
from typing import NamedTuple, Optional

import numpy as np

from .runs import mean_and_spread

Figures = Mapping[float, Mapping[int, float]]  # of one start: by share of the labels in per cent, and by seed

_LEVEL = 0.95


class Gain(NamedTuple):
    """What a start gains over another one, with equal labels, seed by seed.

    Attributes:
        mean (float): Mean over seeds.
        spread (float): Standard deviation over seeds, of the differences; 0 with one seed.
        interval (Tuple[float, float], optional): 95 % bootstrap interval of the mean; None with one seed.
        same_sign (int): Seeds whose difference has the sign of the mean.
        seeds (int): Number of seeds.
    """

    mean: float
    spread: float
    interval: Optional[tuple[float, float]]
    same_sign: int
    seeds: int


def gain_of(values: Mapping[int, float], reference: Mapping[int, float]) -> Gain:
    """Compare two starts, paired by seed.

    Args:
        values (Mapping[int, float]): Figures of a start by seed.
        reference (Mapping[int, float]): Figures of the other start with the same seeds.

    Returns:
        Gain: With scipy's percentile bootstrap of the mean difference, 9,999 resamples of a fixed seed.

    Examples:
        >>> gain_of({0: 12.0, 1: 13.5}, {0: 10.0, 1: 11.0})
        Gain(mean=2.25, spread=0.3535533905932738, interval=(2.0, 2.5), same_sign=2, seeds=2)
    """
    differences = np.array([values[seed] - reference[seed] for seed in values])
    mean, spread = mean_and_spread(differences.tolist())
    interval = None
    if len(differences) > 1:
        from scipy.stats import bootstrap  # of the extra `evaluation`

        found = bootstrap((differences,), np.mean, confidence_level=_LEVEL, method='percentile', random_state=0)
        interval = tuple(float(end) for end in found.confidence_interval)
    same = int(np.sum(np.sign(differences) == np.sign(mean)))
    return Gain(mean, spread, interval, same, len(differences))


class Worth(NamedTuple):
    """The share of the labels with which another start has the same figure.

    Attributes:
        share (float, optional): In per cent; None if it cannot be said.
        side (int): 0 for a share in the measured range; -1 for less than ``share``, the smallest that was measured; 1
            for more than ``share``, the largest.
    """

    share: Optional[float]
    side: int = 0


def worth_in_labels(value: float, reference: Figures) -> Worth:
    """Find where another start's learning curve has a figure.

    Args:
        value (float): The figure.
        reference (Figures): The other start, with two shares of the labels or more.

    Returns:
        Worth: By numpy's interpolation between the means over seeds, linear in the logarithm of the share. Without a
        share if these means do not rise from share to share.

    Examples:
        >>> round(worth_in_labels(15.0, {10: {0: 10.0}, 100: {0: 20.0}}).share, 1)
        31.6
        >>> worth_in_labels(25.0, {10: {0: 10.0}, 100: {0: 20.0}})
        Worth(share=100, side=1)
    """
    if not rises(reference):
        return Worth(None)
    shares, means = sorted(reference), _means(reference)
    if not means[0] <= value <= means[-1]:
        return Worth(shares[0], -1) if value < means[0] else Worth(shares[-1], 1)
    return Worth(float(np.exp(np.interp(value, means, np.log(shares)))))


def rises(figures: Figures) -> bool:
    """Check whether the mean over seeds rises from each share of the labels to the next.

    Args:
        figures (Mapping): Of one start.

    Returns:
        bool: Whether it does; True for a single share.

    Examples:
        >>> rises({10: {0: 20.0}, 100: {0: 40.0}}), rises({10: {0: 20.0}, 100: {0: 20.0}})
        (True, False)
    """
    return bool(np.all(np.diff(_means(figures)) > 0))


def _means(figures: Figures) -> list[float]:
    return [mean_and_spread(figures[share].values())[0] for share in sorted(figures)]
