"""How well the rows of a bank of names can be told apart."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

PERCENTILE = 99


class Confusable(NamedTuple):
    """Pairs of names with the most similar rows.

    Attributes:
        threshold (float): The 99th percentile of all pairs' cosines.
        pairs (List[Tuple[int, int, float]]): Two indices and their cosine, for each pair above it, the closest first.
    """

    threshold: float
    pairs: list[tuple[int, int, float]]


def cosines(bank: Tensor) -> Tensor:
    """Compute the cosines of all pairs of different rows.

    Args:
        bank (Tensor): (K, D), unit rows.

    Returns:
        Tensor: (K (K - 1) / 2,) float32, in the order of ``torch.triu_indices``.
    """
    one, other = torch.triu_indices(len(bank), len(bank), offset=1)
    return (bank @ bank.T)[one, other]


def confusable(bank: Tensor) -> Confusable:
    """Find the pairs of names whose cosine is above the 99th percentile of all pairs.

    The measure is relative: the similarities of names have another range for each teacher.

    Args:
        bank (Tensor): (K, D), unit rows, K > 1.

    Returns:
        Confusable: Threshold and pairs.

    Examples:
        >>> rows = torch.nn.functional.normalize(torch.tensor([[1, 0], [1, 0.1], [0, 1]]), dim=1)
        >>> [(i, j, round(cosine, 3)) for i, j, cosine in confusable(rows).pairs]
        [(0, 1, 0.995)]
    """
    values = cosines(bank)
    threshold = float(np.percentile(values.numpy(), PERCENTILE))
    above = (values > threshold).nonzero().flatten()
    above = above[values[above].argsort(descending=True)]
    indices = torch.triu_indices(len(bank), len(bank), offset=1)[:, above]
    return Confusable(threshold, list(zip(*indices.tolist(), values[above].tolist())))


def effective_names(bank: Tensor, temperature: float) -> float:
    r"""Compute the effective number of names, which counts similar names as less than one each.

    .. math:: D = \exp\Big(-\frac{1}{K} \sum_i \log \frac{1}{K} \sum_j \exp\big((e_i \cdot e_j - 1) / \tau\big)\Big)

    It is the diversity of order 1 of Leinster and Cobbold (Ecology, 2012) for equally frequent names. Equivalently, it
    is K times the geometric mean of the probability that the softmax over names gives a name's own row.

    Args:
        bank (Tensor): (K, D), unit rows.
        temperature (float): τ > 0.

    Returns:
        float: From 1 (all names are the same) to K (all are far apart).

    Examples:
        >>> round(effective_names(torch.tensor([[1.0, 0], [1, 0], [0, 1]]), 0.01), 3)
        1.89
    """
    bank = bank.double()
    own = (bank @ bank.T / temperature).log_softmax(dim=1).diagonal()
    return len(bank) * own.mean().exp().item()
