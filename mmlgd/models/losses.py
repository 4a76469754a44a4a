"""The loss of language-guided distillation, and the plainest one to compare it with."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require


@MODELS.register_module()
class LGDLoss(nn.Module):
    r"""Cross-entropy between the teacher's and the student's similarities to both banks (LGD, arXiv 2406.11689).

    .. math::
        L_\text{TEX} &= H\big(\sigma(t \cdot \text{TSB} / \tau_T),\ \sigma(s \cdot \text{TSB} / \tau_S)\big) \\
        L_\text{VIS} &= H\big(\sigma([t \cdot \text{VSB},\ t \cdot t] / \tau_T),\
                             \sigma([s \cdot \text{VSB},\ s \cdot t] / \tau_S)\big) \\
        L &= \alpha L_\text{VIS} + (1 - \alpha) L_\text{TEX} \quad [\,+ \lambda L_\text{QUEUE}\,]

    with student embeddings s, teacher embeddings t, softmax :math:`\sigma` and :math:`H(p, q) = -\sum p \log q`,
    averaged over the batch. The last entry of :math:`L_\text{VIS}` is the self logit. :math:`L_\text{QUEUE}` is
    :math:`L_\text{VIS}` over a third bank, where the model has one, and may have its own temperature of the teacher.
    All of it is computed in float32, under autocast as well: similarities divided by 0.01 do not survive half
    precision. A part without weight is not computed; it is a constant 0.

    Args:
        student_temperature (float): :math:`\tau_S` > 0. Defaults to 0.2, as published.
        teacher_temperature (float): :math:`\tau_T` > 0. Defaults to 0.01, as published.
        alpha (float): :math:`\alpha` in [0, 1], the weight of the visual part. Defaults to 0.5, as published.
        self_logit (bool): Add the self logit to the visual part (and the queue's), as the published code does; the
            paper's figure shows none. Defaults to True.
        mask_unvisited (bool): Leave the random rows of classes that no picture has visited, and of a queue that is
            not full yet, out. Defaults to False, as published.
        queue_weight (float): :math:`\lambda` > 0, the weight of the part over a queue, where there is one. Defaults to
            1.0, as much as the other two together.
        queue_teacher_temperature (float, optional): The teacher's temperature in that part, > 0. The latest pictures
            lie closer to each other than class names do, and want a sharper target. Defaults to None, :math:`\tau_T`.

    Raises:
        ConfigError: A temperature or ``queue_weight`` is not positive, or ``alpha`` is outside [0, 1].

    Examples:
        >>> import torch
        >>> from mmlgd import LGDLoss
        >>> unit = lambda *shape: torch.nn.functional.normalize(torch.rand(*shape), dim=-1)
        >>> sorted(LGDLoss()(unit(4, 8), unit(4, 8), unit(10, 8), unit(10, 8)))
        ['loss_textual', 'loss_visual']
    """

    @checked_settings
    def __init__(
        self,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        alpha: float = 0.5,
        self_logit: bool = True,
        mask_unvisited: bool = False,
        queue_weight: float = 1.0,
        queue_teacher_temperature: Optional[float] = None,
    ):
        super().__init__()
        if queue_teacher_temperature is None:
            queue_teacher_temperature = teacher_temperature
        require(
            min(student_temperature, teacher_temperature, queue_teacher_temperature) > 0,
            f'Expected positive temperatures, got student_temperature={student_temperature}, '
            f'teacher_temperature={teacher_temperature} and queue_teacher_temperature={queue_teacher_temperature}.',
        )
        require(0 <= alpha <= 1, f'Expected alpha, the weight of the visual part, in [0, 1], got {alpha}.')
        require(
            queue_weight > 0,
            f'Expected a positive queue_weight, got {queue_weight}. For no such part, give the model no queue.',
        )
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.alpha = alpha
        self.self_logit = self_logit
        self.mask_unvisited = mask_unvisited
        self.queue_weight = queue_weight
        self.queue_teacher_temperature = queue_teacher_temperature

    @property
    def reads_visual_bank(self) -> bool:
        """bool: Whether the visual part has a weight."""
        return self.alpha > 0

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        textual_bank: Tensor,
        visual_bank: Tensor,
        visited: Optional[Tensor] = None,
        queue: Optional[Tensor] = None,
        queue_visited: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        r"""Compare student and teacher over the banks.

        Args:
            student (Tensor): (N, D), unit rows, with gradient.
            teacher (Tensor): (N, D), unit rows.
            textual_bank (Tensor): (K, D), unit rows.
            visual_bank (Tensor): (K, D), or (M, D) if it is a queue.
            visited (Tensor, optional): (K,) bool, rows of the visual bank that are more than random; needed for
                ``mask_unvisited``. Defaults to None.
            queue (Tensor, optional): (M, D), a third bank. Defaults to None.
            queue_visited (Tensor, optional): (M,) bool, likewise. Defaults to None.

        Returns:
            Dict[str, Tensor]: Scalars ``loss_visual``, ``loss_textual`` and, with a queue, ``loss_queue``;
            :math:`\alpha`, :math:`1 - \alpha` and :math:`\lambda` already applied: they sum to L.

        Raises:
            ValueError: Dimensions do not fit, or ``visited`` is missing though ``mask_unvisited`` is set.
        """
        self._check(student, teacher, textual_bank, visual_bank, queue)
        with torch.autocast(student.device.type, enabled=False):
            s, t, tsb = (x.float() for x in (student, teacher.detach(), textual_bank))
            # Divided here, (N, D) has to be read and written, and not every (N, K) below.
            sharp_s, sharp_t = s / self.student_temperature, t / self.teacher_temperature
            losses = dict(loss_visual=s.new_zeros(()), loss_textual=s.new_zeros(()))
            if self.reads_visual_bank:
                losses['loss_visual'] = self.alpha * self._over(visual_bank, visited, sharp_s, t, sharp_t)
            if self.alpha < 1:
                textual = _cross_entropy(sharp_s @ tsb.T, sharp_t @ tsb.T)  # from (N, K) both
                losses['loss_textual'] = (1 - self.alpha) * textual
            if queue is not None:
                sharp_t = t / self.queue_teacher_temperature
                losses['loss_queue'] = self.queue_weight * self._over(queue, queue_visited, sharp_s, t, sharp_t)
        return losses

    def _over(self, bank: Tensor, visited: Optional[Tensor], sharp_s: Tensor, t: Tensor, sharp_t: Tensor) -> Tensor:
        """Compare over a bank of pictures: L_VIS, without its weight."""
        bank, weight = bank.float(), 1.0
        s_logits, t_logits = sharp_s @ bank.T, sharp_t @ bank.T  # (N, K) both
        if self.mask_unvisited:
            if visited is None:
                raise ValueError("mask_unvisited=True needs the bank's `visited`; pass it beside the bank.")
            # Below any similarity at any temperature: 0 after the softmax, and finite where all rows are masked.
            s_logits, t_logits = (x.masked_fill(~visited, -1e9) for x in (s_logits, t_logits))
            weight = visited.any()  # with no row to compare there is no visual part
        if self.self_logit:
            s_logits = torch.cat([s_logits, (sharp_s * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1)
            t_logits = torch.cat([t_logits, (sharp_t * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1), last is 1/τ_T
        return weight * _cross_entropy(s_logits, t_logits)

    def _check(self, student, teacher, textual_bank, visual_bank, queue) -> None:
        banks = [bank for bank in (textual_bank, visual_bank, queue) if bank is not None]
        dims = {x.shape[-1] for x in (student, teacher, *banks)}
        if len(dims) != 1 or student.shape != teacher.shape:
            third = '' if queue is None else f', queue {tuple(queue.shape)}'
            raise ValueError(
                f'Expected student and teacher (N, D) and banks (K, D) with one D, got student '
                f'{tuple(student.shape)}, teacher {tuple(teacher.shape)}, textual bank {tuple(textual_bank.shape)}, '
                f'visual bank {tuple(visual_bank.shape)}{third}.'
            )


@MODELS.register_module()
class CosineLoss(nn.Module):
    r"""Regression of the teacher's embedding: :math:`L = 1 - s \cdot t`, averaged over the batch.

    The baseline without banks, half the squared distance of unit vectors. It is called as :class:`~mmlgd.LGDLoss` is.

    Attributes:
        student_temperature (float): 0.2, of the scores of :meth:`mmlgd.LGD.predict` alone.
        teacher_temperature (float): 0.01, likewise.

    Examples:
        >>> import torch
        >>> from mmlgd import CosineLoss
        >>> CosineLoss()(torch.eye(2), torch.eye(2))
        {'loss_cosine': tensor(0.)}
    """

    student_temperature = 0.2
    teacher_temperature = 0.01
    reads_visual_bank = False

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        textual_bank: Optional[Tensor] = None,
        visual_bank: Optional[Tensor] = None,
        visited: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """Compare student and teacher.

        Args:
            student (Tensor): (N, D), unit rows, with gradient.
            teacher (Tensor): (N, D), unit rows.
            textual_bank (Tensor, optional): Not used, like those below. Defaults to None.
            visual_bank (Tensor, optional): Not used. Defaults to None.
            visited (Tensor, optional): Not used. Defaults to None.

        Returns:
            Dict[str, Tensor]: The scalar ``loss_cosine`` in [0, 2], float32.

        Raises:
            ValueError: Student and teacher have different shapes.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f'Expected student and teacher of one shape (N, D), got {tuple(student.shape)} and '
                f'{tuple(teacher.shape)}.'
            )
        return dict(loss_cosine=1 - (student.float() * teacher.detach().float()).sum(dim=-1).mean())


def _cross_entropy(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    return F.cross_entropy(student_logits, teacher_logits.softmax(dim=-1))
