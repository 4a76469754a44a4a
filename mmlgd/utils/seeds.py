"""Random choices that follow from numbers: for a while, or from now on."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .validation import whole

MOST_SEED = 2**32 - 1  # numpy's generators take no more
seed_number = whole('a seed', 0, MOST_SEED)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Let every random choice inside follow from some numbers, and leave the generators outside as they were.

    Python's, numpy's and torch's CPU generators are meant: what the transforms of mmcv, mmpretrain and torchvision
    draw from.

    Args:
        *numbers (int): Not negative.

    Examples:
        >>> def draw():
        ...     with seeded(0, 3, 7):
        ...         return random.random(), np.random.rand(), torch.rand(1).item()
        >>> draw() == draw()
        True
    """
    states = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    # torch.manual_seed would change the GPU's generators as well.
    torch.default_generator.manual_seed(_seed_python_and_numpy(numbers))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


def seed_all(*numbers: int) -> None:
    """Seed Python's, numpy's and torch's generators, on all devices, with numbers of which each one counts.

    Args:
        *numbers (int): Not negative.

    Examples:
        >>> seed_all(0, 3, 1)
        >>> first = torch.rand(1)
        >>> seed_all(0, 3, 1)
        >>> torch.equal(first, torch.rand(1))
        True
    """
    torch.manual_seed(_seed_python_and_numpy(numbers))


def _seed_python_and_numpy(numbers: tuple[int, ...]) -> int:
    """Seed two of the three generators, and draw the seed of torch's, which the callers reach in different ways."""
    for_python, for_numpy, for_torch = np.random.SeedSequence(numbers).generate_state(3).tolist()
    random.seed(for_python)
    np.random.seed(for_numpy)
    return for_torch
