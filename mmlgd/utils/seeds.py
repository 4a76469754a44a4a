"""Seeds for all random generators: inside a block, or from now on."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .validation import whole

MOST_SEED = 2**32 - 1  # the limit of numpy's seeds
seed_number = whole('a seed', 0, MOST_SEED)


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Seed every random choice inside the block, and restore the generators afterwards.

    This covers Python's, numpy's and torch's CPU generators, which the transforms of mmcv, mmpretrain and torchvision
    use.

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
    """Seed Python's, numpy's and torch's generators, on all devices, from several numbers.

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
    """Seed Python's and numpy's generators, and return a seed for torch's; each caller sets that one differently."""
    for_python, for_numpy, for_torch = np.random.SeedSequence(numbers).generate_state(3).tolist()
    random.seed(for_python)
    np.random.seed(for_numpy)
    return for_torch
