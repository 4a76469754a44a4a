"""Which numbers can be used: those of a step, and those of a checkpoint."""

import torch
from torch import Tensor


def usable_rows(embeddings: Tensor) -> Tensor:
    """Tell embeddings of about unit length from zero, NaN and Inf, without a wait for the device.

    Args:
        embeddings (Tensor): (N, D), rows that are meant to be of unit length, in any precision.

    Returns:
        Tensor: (N,) bool.

    Examples:
        >>> usable_rows(torch.tensor([[0.6, 0.8], [0.0, 0.0], [float('nan'), 1.0]])).tolist()
        [True, False, False]
    """
    norms = torch.linalg.vector_norm(embeddings, dim=-1, dtype=torch.float32)  # (N,)
    return (norms > 0.9) & (norms < 1.1)  # NaN is in neither


def is_finite(values: Tensor) -> bool:
    """Tell whether a tensor holds neither NaN nor infinity, of whatever type its numbers are.

    Args:
        values (Tensor): Any tensor.

    Returns:
        bool: True for whole numbers.

    Examples:
        >>> is_finite(torch.ones(2)), is_finite(torch.tensor([1, float('nan')]))
        (True, False)
    """
    # float(): torch does not ask the 8-bit types.
    return not values.is_floating_point() or bool(values.float().isfinite().all())


def broken_parts(student: Tensor, teacher: Tensor, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Say of each part of a step whether it is broken, without a wait for the device.

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
