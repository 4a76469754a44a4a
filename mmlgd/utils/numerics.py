"""Checks for zero, NaN and Inf in the numbers of a step and of a checkpoint."""

import torch
from torch import Tensor


def usable_rows(embeddings: Tensor) -> Tensor:
    """Check for each embedding that it has about unit length (not zero, NaN or Inf), without waiting for the device.

    Args:
        embeddings (Tensor): (N, D), rows that should have unit length, in any precision.

    Returns:
        Tensor: (N,) bool, True for about unit length.

    Examples:
        >>> usable_rows(torch.tensor([[0.6, 0.8], [0.0, 0.0], [float('nan'), 1.0]])).tolist()
        [True, False, False]
    """
    norms = torch.linalg.vector_norm(embeddings, dim=-1, dtype=torch.float32)  # (N,)
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


def broken_parts(student: Tensor, teacher: Tensor, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Find the broken parts of a step, without waiting for the device.

    Args:
        student (Tensor): (N, D), the student's embeddings; broken where one is NaN or Inf.
        teacher (Tensor): (N, D), the teacher's embeddings; broken where one is zero, NaN or Inf.
        losses (Dict[str, Tensor]): Parts of the loss; broken where they are NaN or Inf.

    Returns:
        Dict[str, Tensor]: Scalars, bool: ``teacher``, ``student``, and the losses by their names.

    Examples:
        >>> parts = broken_parts(torch.eye(2), torch.zeros(1, 2), dict(loss_visual=torch.tensor(1.0)))
        >>> [name for name, broken in parts.items() if broken]
        ['teacher']
    """
    return dict(
        teacher=~usable_rows(teacher).all(),
        student=~student.isfinite().all(),
        **{name: ~value.isfinite().all() for name, value in losses.items()},
    )
