"""How well the rows of a bank of names can be told apart."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmlgd.utils.numerics import EQUAL

PERCENTILE = 99


class Confusable(NamedTuple):
    """Pairs of names with the most similar rows.

    Attributes:
        threshold (float): The 99th percentile of all pairs' cosines, and at most 0.9999.
        pairs (List[Tuple[int, int, float]]): Two indices and their cosine, for each pair above it, the closest first.
        cosines (Tensor): (K (K - 1) / 2,) float32, of all pairs.
    """

    threshold: float
    pairs: list[tuple[int, int, float]]
    cosines: Tensor


def confusable(bank: Tensor) -> Confusable:
    """Find the pairs of names whose cosine is above the 99th percentile of all pairs.

    The measure is relative: the similarities of names have another range for each teacher. Names with the same row
    (words that a tokenizer does not know, or that differ in capitals alone) are pairs however many there are.

    Args:
        bank (Tensor): (K, D), unit rows, K > 1.

    Returns:
        Confusable: Threshold, pairs, and the cosines of all pairs.

    Examples:
        >>> rows = torch.nn.functional.normalize(torch.tensor([[1, 0], [1, 0.1], [0, 1]]), dim=1)
        >>> [(i, j, round(cosine, 3)) for i, j, cosine in confusable(rows).pairs]
        [(0, 1, 0.995)]
    """
    cosines, is_pair = bank @ bank.T, torch.ones(len(bank), len(bank), dtype=torch.bool).triu(1)  # each pair once
    values = cosines[is_pair]
    threshold = min(float(np.percentile(values.numpy(), PERCENTILE)), EQUAL)
    pairs = ((cosines > threshold) & is_pair).nonzero()  # (P, 2)
    pairs = pairs[cosines[tuple(pairs.T)].argsort(descending=True, stable=True)]
    return Confusable(threshold, [(i, j, cosines[i, j].item()) for i, j in pairs.tolist()], values)


def effective_names(bank: Tensor) -> float:
    r"""Compute the effective number of names: how many unrelated names would spread as far as these.

    .. math:: D = 1 + \exp\Big(-\sum_i p_i \log p_i\Big), \quad p_i = \lambda_i / \sum_j \lambda_j

    with the eigenvalues :math:`\lambda` of the covariance of the rows. The second term is their effective rank (Roy and
    Vetterli, EUSIPCO 2007, here of squared singular values). What all names have in common does not count, since it
    changes no softmax over names. Copies of a name add no class.

    Args:
        bank (Tensor): (K, D), unit rows.

    Returns:
        float: From 1 (all names are the same) to K (all are unrelated), and at most D + 1.

    Examples:
        >>> round(effective_names(torch.eye(3)), 3), round(effective_names(torch.eye(3)[[0, 0, 1]]), 3)
        (3.0, 2.0)
    """
    bank = bank.double()
    spread = torch.linalg.svdvals(bank - bank.mean(dim=0)).square()
    if spread.sum() < 1e-12:
        return 1.0
    return 1 + torch.special.entr(spread / spread.sum()).sum().exp().item()
