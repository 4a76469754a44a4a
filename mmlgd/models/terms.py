"""The terms of a loss: each compares student and teacher in one way, over one bank or none."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require

from .base_bank import BankRows

ON = ('image',)  # what a term can compare


class Term(nn.Module):
    """One term of the loss. To add your own, derive from this class, register it and implement :meth:`compare`.

    Args:
        name (str): Name in the log; must contain ``'loss'``, because mmengine adds up the values with such names.
        bank (str, optional): The bank that it compares over: ``'text'``, ``'visual'`` or ``'queue'``. Defaults to None:
            no bank.
        on (str): What it compares. Defaults to ``'image'``, one embedding per image.
        weight (float): >= 0. A term of weight 0 is not computed, and is logged as 0. Defaults to 1.0.

    Attributes:
        student_temperature (float, optional): The student's temperature, also for class-name scores; None if the term
            has none.
        teacher_temperature (float, optional): Likewise.

    Raises:
        ConfigError: ``name`` does not contain ``'loss'``, ``on`` is unknown, or ``weight`` is negative.
    """

    student_temperature: Optional[float] = None
    teacher_temperature: Optional[float] = None

    def __init__(self, name: str, bank: Optional[str] = None, on: str = 'image', weight: float = 1.0):
        super().__init__()
        require('loss' in name, f'Expected a name with "loss" in it (mmengine adds up only these), got {name!r}.')
        require(
            on in ON,
            f'Expected on={" or ".join(map(repr, ON))}, got on={on!r}. Terms on places are not supported yet.',
        )
        require(weight >= 0, f'Expected a weight of at least 0, got {weight}.')
        self.name, self.bank, self.on, self.weight = name, bank, on, weight

    def forward(self, student: Tensor, teacher: Tensor, bank: Optional[BankRows] = None) -> Tensor:
        """Compare in float32, under any autocast: similarities divided by 0.01 do not survive half precision.

        Args:
            student (Tensor): (N, D), unit rows, with gradient.
            teacher (Tensor): (N, D), unit rows.
            bank (BankRows, optional): (K, D) rows. Defaults to None, for a term without a bank.

        Returns:
            Tensor: Float32 scalar, with the weight applied.

        Raises:
            ConfigError: The bank is missing.
        """
        with torch.autocast(student.device.type, enabled=False):
            s, t = student.float(), teacher.detach().float()
            if not self.weight:
                return s.new_zeros(())
            if self.bank is not None and bank is None:
                raise ConfigError(f'{self.name} compares over the bank {self.bank!r}. Pass it among the banks.')
            return self.weight * self.compare(s, t, bank)

    def compare(self, s: Tensor, t: Tensor, bank: Optional[BankRows]) -> Tensor:
        """Compare float32 embeddings.

        Args:
            s (Tensor): (N, D), unit rows, with gradient.
            t (Tensor): (N, D), unit rows, without.
            bank (BankRows, optional): Rows of the term's bank.

        Returns:
            Tensor: Scalar, averaged over the batch, without the weight.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Describe name, place and weight, for ``print(model)``."""
        over = '' if self.bank is None else f'bank={self.bank}, '
        return f'{self.name}: {over}on={self.on}, weight={self.weight:g}'


@MODELS.register_module()
class CrossEntropyTerm(Term):
    r"""Cross-entropy between the teacher's and the student's similarities to the rows B of a bank.

    .. math:: H\big(\sigma(t \cdot B / \tau_T),\ \sigma(s \cdot B / \tau_S)\big)

    with softmax :math:`\sigma` and :math:`H(p, q) = -\sum p \log q`, averaged over the batch. With the self logit, the
    teacher's own embedding t of the image is one more row of B. Over the text bank it is the paper's
    :math:`L_\text{TEX}`, over the visual bank with the self logit :math:`L_\text{VIS}`, over a queue with it the loss
    of SEED.

    Args:
        bank (str): B: ``'text'`` (class names), ``'visual'`` (a prototype of each) or ``'queue'`` (the latest images).
        on (str): What is compared. Defaults to ``'image'``, the only choice so far.
        weight (float): >= 0. Defaults to 1.0.
        student_temperature (float): :math:`\tau_S` > 0. Defaults to 0.2, as published.
        teacher_temperature (float): :math:`\tau_T` > 0. Defaults to 0.01, as published.
        self_logit (bool): Add the self logit. Defaults to False.
        mask_unvisited (bool): Ignore rows that are still random: classes that no image has visited, and the unfilled
            part of a queue. Defaults to False, as published.
        name (str, optional): Name in the log. Defaults to None: ``loss_textual``, ``loss_visual`` or ``loss_queue``.

    Raises:
        ConfigError: A temperature is not positive, ``weight`` is negative, ``on`` is unknown, or ``mask_unvisited`` is
            set for the text bank.

    Examples:
        >>> import torch
        >>> from mmlgd import BankRows, CrossEntropyTerm
        >>> names = BankRows(torch.eye(3))
        >>> CrossEntropyTerm('text', student_temperature=1.0)(torch.eye(3), torch.eye(3), names)
        tensor(0.5514)
    """

    @checked_settings
    def __init__(
        self,
        bank: str,
        on: str = 'image',
        weight: float = 1.0,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        self_logit: bool = False,
        mask_unvisited: bool = False,
        name: Optional[str] = None,
    ):
        super().__init__(name or f'loss_{"textual" if bank == "text" else bank}', bank, on, weight)
        require(
            min(student_temperature, teacher_temperature) > 0,
            f'Expected positive temperatures, got student_temperature={student_temperature} and '
            f'teacher_temperature={teacher_temperature}.',
        )
        require(
            not (mask_unvisited and bank == 'text'),
            'The text bank has no random rows. Leave mask_unvisited out of its term.',
        )
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.self_logit = self_logit
        self.mask_unvisited = mask_unvisited

    def compare(self, s: Tensor, t: Tensor, bank: BankRows) -> Tensor:
        """Compute the cross-entropy, see :meth:`Term.compare`.

        Raises:
            ValueError: ``mask_unvisited`` is set, but the bank does not record visited rows.
        """
        # Dividing here reads and writes (N, D) once, instead of each (N, K) below.
        sharp_s, sharp_t = s / self.student_temperature, t / self.teacher_temperature
        rows, there = bank.rows.float(), 1.0
        s_logits, t_logits = sharp_s @ rows.T, sharp_t @ rows.T  # (N, K) both
        if self.mask_unvisited:
            if bank.visited is None:
                raise ValueError("mask_unvisited=True needs the bank's `visited`; pass it beside the bank.")
            # Below any similarity at any temperature: 0 after the softmax, and finite if all rows are masked.
            s_logits, t_logits = (x.masked_fill(~bank.visited, -1e9) for x in (s_logits, t_logits))
            there = bank.visited.any()  # without a visited row the term is 0
        if self.self_logit:
            s_logits = torch.cat([s_logits, (sharp_s * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1)
            t_logits = torch.cat([t_logits, (sharp_t * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1), last is 1/τ_T
        return there * F.cross_entropy(s_logits, t_logits.softmax(dim=-1))

    def extra_repr(self) -> str:
        """Describe all settings, for ``print(model)``."""
        options = [name for name in ('self_logit', 'mask_unvisited') if getattr(self, name)]
        return ', '.join(
            [super().extra_repr(), f'τ_S={self.student_temperature:g}', f'τ_T={self.teacher_temperature:g}', *options]
        )


@MODELS.register_module()
class CosineTerm(Term):
    r"""Regression of the teacher's embedding, without a bank: :math:`1 - s \cdot t`, averaged over the batch.

    Args:
        on (str): What is compared. Defaults to ``'image'``, the only choice so far.
        weight (float): >= 0. Defaults to 1.0.
        name (str): Name in the log. Defaults to ``'loss_cosine'``.

    Examples:
        >>> import torch
        >>> from mmlgd import CosineTerm
        >>> CosineTerm(weight=0.5)(torch.eye(2), -torch.eye(2))
        tensor(1.)
    """

    @checked_settings
    def __init__(self, on: str = 'image', weight: float = 1.0, name: str = 'loss_cosine'):
        super().__init__(name, None, on, weight)

    def compare(self, s: Tensor, t: Tensor, bank: None = None) -> Tensor:
        """Compute half the squared distance of unit vectors, see :meth:`Term.compare`."""
        return 1 - (s * t).sum(dim=-1).mean()
