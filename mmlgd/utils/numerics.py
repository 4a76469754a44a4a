"""Checks of numbers: zero, NaN and Inf in those of a step or a checkpoint, and rows that are the same."""

import torch
from torch import Tensor

EQUAL = 0.9999  # a cosine of unit rows: rounding aside, one row


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


def same_rows(rows: Tensor) -> list[tuple[int, int]]:
    """Find rows that are, rounding aside, the same row, in time and memory that grow with their number only.

    Args:
        rows (Tensor): (K, D) on the CPU, unit rows.

    Returns:
        List[Tuple[int, int]]: A pair for each row with its next copy, the smaller index first.

    Examples:
        >>> same_rows(torch.eye(3)[[0, 1, 0, 2, 0]])
        [(0, 2), (2, 4)]
    """
    direction = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0))
    order = (rows.float() @ direction).argsort(stable=True)  # equal rows lie at equal places, side by side
    pairs = torch.stack([order[:-1], order[1:]], dim=1)
    is_same = (rows[pairs[:, 0]] * rows[pairs[:, 1]]).sum(dim=1) > EQUAL
    return sorted((min(pair), max(pair)) for pair in pairs[is_same].tolist())
