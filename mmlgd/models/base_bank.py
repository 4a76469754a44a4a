"""What banks share: rows that the terms of a loss compare over, and what a row stands for."""

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAMES, PROTOTYPES, QUEUED = 'names', 'prototypes', 'images'  # roles: what a row of a bank stands for


class BankRows(NamedTuple):
    """What a term sees of a bank.

    Attributes:
        rows (Tensor): (K, D).
        visited (Tensor, optional): (K,) bool, rows that are more than random. None: the bank does not say.
    """

    rows: Tensor
    visited: Optional[Tensor] = None


def saved_role(state: dict, part: str) -> Optional[str]:
    """Tell what the rows of a bank in a checkpoint stand for.

    Args:
        state (dict): A state dict.
        part (str): The bank's name in it, as ``'visual_bank'``.

    Returns:
        str | None: The :attr:`Bank.role` of the bank that it was; None where there is no bank.

    Examples:
        >>> saved_role({'queue.bank': ..., 'queue.visited': ..., 'queue.pointer': ...}, 'queue')
        'images'
    """
    if f'{part}.bank' not in state:
        return None
    if f'{part}.pointer' in state:  # the row that is written next: of a queue alone
        return QUEUED
    return PROTOTYPES if f'{part}.visited' in state else NAMES


class Bank(nn.Module):
    """Rows that the terms of a loss compare over, see :mod:`mmlgd.models.terms`.

    Attributes:
        role (str): What a row stands for: one of the ``'names'`` or ``'prototypes'`` of classes, or of the latest
            ``'images'``.
        bank (Tensor): (K, D) float32.
        visited (Tensor): (K,) bool, rows that are more than random; names are all.
    """

    role: str

    def rows(self) -> BankRows:
        """Copy the rows as the terms of a step see them: autograd needs them when :meth:`update` writes the bank.

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
        # A generator of its own: ranks and resumed runs start from the same rows, whatever their seeds.
        bank = torch.randn(rows, embed_dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer('bank', F.normalize(bank, dim=-1))
        self.register_buffer('visited', torch.zeros(rows, dtype=torch.bool))
