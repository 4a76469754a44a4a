"""Asks two forms of a tower for the same images: their structure does not say whether they compute the same."""

from typing import Callable

import torch
from torch import Tensor, nn


def same_output(tower: nn.Module, other: Callable[[Tensor], Tensor], image_size: tuple[int, int]) -> bool:
    """Compare two forms of a tower on a random batch.

    Args:
        tower (nn.Module): The tower in eval mode, on any device.
        other (Callable): Its other form.
        image_size (Tuple[int, int]): Height and width of its images in pixels.

    Returns:
        bool: Whether their outputs are equal up to rounding. False for outputs that are not finite: these cannot be
        compared, and FiniteCheckHook reports them later.

    Examples:
        >>> same_output(nn.ReLU(), nn.Identity(), (8, 8))
        False
    """
    like = next(tower.parameters(), torch.zeros(()))
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(like)
    with torch.no_grad():
        expected, got = tower(images), other(images)
    largest = expected.abs().max()
    return bool(largest.isfinite()) and torch.allclose(got, expected, rtol=1e-3, atol=1e-4 * largest.item())
