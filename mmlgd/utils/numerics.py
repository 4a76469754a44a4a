"""Checks for zero, NaN and Inf in the numbers of a step and of a checkpoint."""

import torch
from torch import Tensor


def usable_rows(embeddings: Tensor) -> Tensor:
    """Check for each embedding that it has about unit length (not zero, NaN or Inf), without waiting for the device.

    Args:
        embeddings (Tensor): (..., D), rows that should have unit length, in any precision.

    Returns:
        Tensor: (...) bool, True for about unit length.

    Examples:
        >>> usable_rows(torch.tensor([[0.6, 0.8], [0.0, 0.0], [float('nan'), 1.0]])).tolist()
        [True, False, False]
    """
    norms = torch.linalg.vector_norm(embeddings, dim=-1, dtype=torch.float32)  # (...)
    return (norms > 0.9) & (norms < 1.1)  # both are False for NaN


def is_finite(values: Tensor) -> bool:
    """Check that a tensor of any dtype holds neither NaN nor infinity.

    Args:
        values (Tensor): Any tensor.

    Returns:
        bool: True for whole numbers.

    Examples:
        >>> is_finite(torch.ones(2)), is_finite(torch.tensor([1, float('nan')]))
        (True, False)
    """
    # float(): torch has no isfinite for 8-bit floats.
    return not values.is_floating_point() or bool(values.float().isfinite().all())
