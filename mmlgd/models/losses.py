"""The loss of language-guided distillation."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.registry import MODELS


@MODELS.register_module()
class LGDLoss(nn.Module):
    r"""Cross-entropy between the teacher's and the student's similarities to both banks (LGD, arXiv 2406.11689).

    .. math::
        L_\text{TEX} &= H\big(\sigma(t \cdot \text{TSB} / \tau_T),\ \sigma(s \cdot \text{TSB} / \tau_S)\big) \\
        L_\text{VIS} &= H\big(\sigma([t \cdot \text{VSB},\ t \cdot t] / \tau_T),\
                             \sigma([s \cdot \text{VSB},\ s \cdot t] / \tau_S)\big) \\
        L &= \alpha L_\text{VIS} + (1 - \alpha) L_\text{TEX}

    with student embeddings s, teacher embeddings t, softmax :math:`\sigma` and :math:`H(p, q) = -\sum p \log q`,
    averaged over the batch. The last entry of :math:`L_\text{VIS}` is the self logit. All of it is computed in
    float32, under autocast as well: similarities divided by 0.01 do not survive half precision.

    Args:
        student_temperature (float): :math:`\tau_S` > 0. Defaults to 0.2, as published.
        teacher_temperature (float): :math:`\tau_T` > 0. Defaults to 0.01, as published.
        alpha (float): :math:`\alpha` in [0, 1], the weight of the visual part. Defaults to 0.5, as published.
        self_logit (bool): Add the self logit to the visual part, as the published code does; the paper's figure
            shows none. Defaults to True.
        mask_unvisited (bool): Leave the random rows of classes that no picture has visited out of the visual
            part. Defaults to False, as published.

    Raises:
        ValueError: A temperature is not positive, or ``alpha`` is outside [0, 1].

    Examples:
        >>> import torch
        >>> from mmlgd import LGDLoss
        >>> unit = lambda *shape: torch.nn.functional.normalize(torch.rand(*shape), dim=-1)
        >>> sorted(LGDLoss()(unit(4, 8), unit(4, 8), unit(10, 8), unit(10, 8)))
        ['loss_textual', 'loss_visual']
    """

    def __init__(
        self,
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        alpha: float = 0.5,
        self_logit: bool = True,
        mask_unvisited: bool = False,
    ):
        super().__init__()
        if min(student_temperature, teacher_temperature) <= 0:
            raise ValueError(
                f'Expected positive temperatures, got student_temperature={student_temperature} and '
                f'teacher_temperature={teacher_temperature}.'
            )
        if not 0 <= alpha <= 1:
            raise ValueError(f'Expected alpha, the weight of the visual part, in [0, 1], got {alpha}.')
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.alpha = alpha
        self.self_logit = self_logit
        self.mask_unvisited = mask_unvisited

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        textual_bank: Tensor,
        visual_bank: Tensor,
        visited: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        r"""Compare student and teacher over both banks.

        Args:
            student (Tensor): (N, D), unit rows, with gradient.
            teacher (Tensor): (N, D), unit rows.
            textual_bank (Tensor): (K, D), unit rows.
            visual_bank (Tensor): (K, D).
            visited (Tensor, optional): (K,) bool, rows of the visual bank that are more than random; needed for
                ``mask_unvisited``. Defaults to None.

        Returns:
            Dict[str, Tensor]: Scalars ``loss_visual`` and ``loss_textual``, :math:`\\alpha` and
            :math:`1 - \\alpha` already applied: they sum to L.

        Raises:
            ValueError: Dimensions do not fit, or ``visited`` is missing though ``mask_unvisited`` is set.
        """
        self._check(student, teacher, textual_bank, visual_bank, visited)
        with torch.autocast(student.device.type, enabled=False):
            s, t, tsb, vsb = (x.float() for x in (student, teacher.detach(), textual_bank, visual_bank))
            # Divided here, (N, D) has to be read and written, and not every (N, K) below.
            s, sharp_t = s / self.student_temperature, t / self.teacher_temperature
            textual = _cross_entropy(s @ tsb.T, sharp_t @ tsb.T)  # from (N, K) both
            s_visual, t_visual = s @ vsb.T, sharp_t @ vsb.T  # (N, K) both
            weight = self.alpha
            if self.mask_unvisited:
                # Below any similarity at any temperature: 0 after the softmax, and finite where all rows are masked.
                s_visual, t_visual = (x.masked_fill(~visited, -1e9) for x in (s_visual, t_visual))
                weight = self.alpha * visited.any()  # with no row to compare there is no visual part
            if self.self_logit:
                s_visual = torch.cat([s_visual, (s * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1)
                t_visual = torch.cat([t_visual, (sharp_t * t).sum(-1, keepdim=True)], dim=1)  # (N, K+1), last is 1/τ_T
            visual = _cross_entropy(s_visual, t_visual)
        return dict(loss_visual=weight * visual, loss_textual=(1 - self.alpha) * textual)

    def _check(self, student, teacher, textual_bank, visual_bank, visited) -> None:
        dims = {x.shape[-1] for x in (student, teacher, textual_bank, visual_bank)}
        if len(dims) != 1 or student.shape != teacher.shape:
            raise ValueError(
                f'Expected student and teacher (N, D) and banks (K, D) with one D, got student '
                f'{tuple(student.shape)}, teacher {tuple(teacher.shape)}, textual bank {tuple(textual_bank.shape)}, '
                f'visual bank {tuple(visual_bank.shape)}.'
            )
        if self.mask_unvisited and visited is None:
            raise ValueError("mask_unvisited=True needs the bank's `visited`; pass it as the fifth argument.")


def _cross_entropy(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    return F.cross_entropy(student_logits, teacher_logits.softmax(dim=-1))
