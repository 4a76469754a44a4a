"""Which numbers of a step can be trained from."""

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
