"""Places by their most likely names: what terms over class names need of a teacher's places, in a few bytes."""

import torch
from torch import Tensor

from mmlgd.utils.numerics import usable_rows

BEST = 8  # names of each place


def best_names(places: Tensor, bank: Tensor, temperature: float) -> Tensor:
    r"""Keep the most likely names of each place, by :math:`p = \sigma(t \cdot B / \tau_T)`.

    Args:
        places (Tensor): (N, h, w, D), t, unit rows.
        bank (Tensor): (K, D), B, embeddings of the class names.
        temperature (float): :math:`\tau_T` > 0.

    Returns:
        Tensor: (N, h, w, M, 2) float32, the number of each name and its probability, the most likely first; M is 8, or
        K if that is less. They sum to less than 1 by the probability of all other names.

    Examples:
        >>> best_names(torch.eye(3)[None, None, :1], torch.eye(3), 1.0)[0, 0, 0]
        tensor([[0.0000, 0.5761],
                [1.0000, 0.2119],
                [2.0000, 0.2119]])
    """
    found = []
    for one in places.float():  # one image at a time: all names of all places would take much memory
        best = (one @ bank.float().T / temperature).softmax(dim=-1).topk(min(BEST, len(bank)), dim=-1)
        found.append(torch.stack([best.indices.float(), best.values], dim=-1))  # whole numbers up to 2**24 are exact
    return torch.stack(found)


def entropy_of_names(logits: Tensor, names: Tensor) -> Tensor:
    r"""Compute the cross-entropy :math:`-\sum p \log q` of kept names, whose probabilities p are made to sum to 1.

    Args:
        logits (Tensor): (P, K), of which q is the softmax, with gradient.
        names (Tensor): (P, M, 2), see :func:`best_names`.

    Returns:
        Tensor: Scalar, averaged over places.
    """
    index, p = names[..., 0].long(), names[..., 1]
    log_q = logits.log_softmax(dim=-1).gather(1, index)  # (P, M)
    return -(p / p.sum(dim=-1, keepdim=True) * log_q).sum(dim=-1).mean()


def are_names(places: Tensor) -> bool:
    """Tell names of places from their embeddings.

    Args:
        places (Tensor): Of N images.

    Returns:
        bool: True for names (N, h, w, M, 2), False for embeddings (N, h, w, D).
    """
    return places.ndim == 5


def usable_places(places: Tensor) -> Tensor:
    """Check places of a teacher (not zero, NaN or Inf), without waiting for the device.

    Args:
        places (Tensor): (N, h, w, D) unit rows, or (N, h, w, M, 2) names.

    Returns:
        Tensor: (N, h, w) bool, True for embeddings of about unit length, and for names with numbers from 0 and
        probabilities that sum to 1 at most.
    """
    if not are_names(places):
        return usable_rows(places)
    total = places[..., 1].sum(dim=-1)
    return (places >= 0).flatten(3).all(dim=-1) & (total > 0) & (total < 1.01)  # all are False for NaN
