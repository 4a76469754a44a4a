"""The base class of banks: rows that loss terms compare with, and what a row stands for."""

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAMES, PROTOTYPES, QUEUED = 'names', 'prototypes', 'images'  # roles: what a row of a bank stands for


class BankRows(NamedTuple):
    """The part of a bank that a loss term reads.

    Attributes:
        rows (Tensor): (K, D).
        visited (Tensor, optional): (K,) bool, rows that are no longer random. None if the bank does not record it.
    """

    rows: Tensor
    visited: Optional[Tensor] = None


def saved_role(state: dict, part: str) -> Optional[str]:
    """Find out what the rows of a bank in a checkpoint stand for.

    Args:
        state (dict): A state dict.
        part (str): The bank's name in the state dict, for example ``'visual_bank'``.

    Returns:
        str | None: The :attr:`Bank.role` of the saved bank; None if there is no bank.

    Examples:
        >>> saved_role({'queue.bank': ..., 'queue.visited': ..., 'queue.pointer': ...}, 'queue')
        'images'
    """
    if f'{part}.bank' not in state:
        return None
    if f'{part}.pointer' in state:  # only a queue has a pointer to its next row
        return QUEUED
    return PROTOTYPES if f'{part}.visited' in state else NAMES


class Bank(nn.Module):
    """Rows that loss terms compare with, see :mod:`mmlgd.models.terms`.

    Attributes:
        role (str): What the rows stand for: ``'names'`` or ``'prototypes'`` of classes, or the latest ``'images'``.
        bank (Tensor): (K, D) float32.
        visited (Tensor): (K,) bool, rows that are no longer random; True for all names.
    """

    role: str

    def rows(self) -> BankRows:
        """Copy the rows for the terms of a step: autograd still needs them after :meth:`update` has changed the bank.

        Returns:
            BankRows: (K, D) and (K,).
        """
        return BankRows(self.bank.clone(), self.visited.clone())

    def update(self, teacher_embeddings: Tensor, textual_bank: Tensor) -> None:
        """Learn from a step, after its losses.

        Args:
            teacher_embeddings (Tensor): (N, D), unit rows, of this rank.
            textual_bank (Tensor): (K, D), unit rows.
        """
        raise NotImplementedError

    def _start_random(self, rows: int, embed_dim: int) -> None:
        # A separate generator: ranks and resumed runs start from the same rows, whatever their seeds.
        bank = torch.randn(rows, embed_dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer('bank', F.normalize(bank, dim=-1))
        self.register_buffer('visited', torch.zeros(rows, dtype=torch.bool))
