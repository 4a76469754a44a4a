"""How much the teacher's terms count beside a model's own loss."""

from typing import Optional, Union

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmlgd.utils.validation import require

SHARE = 0.2  # of the model's own loss
MEMORY = 0.98  # weight of the old average: about the last 50 steps


class Weighing(nn.Module):
    r"""The factor of the teacher's terms: fixed, or a share of the model's own loss.

    With the model's own loss L and the sum G of the terms, both averaged over the latest steps of all ranks,

    .. math:: \lambda = s \cdot |\bar L| / \bar G, \qquad \bar L \leftarrow m \bar L + (1 - m) L

    so that the terms add about :math:`s |L|` to the loss. Both averages start from 0; in their ratio this cancels out.
    Over the last part of the training, a share f of it, the factor falls to 0:
    :math:`\lambda \cdot \min(1, (1 - p) / f)` at the progress p.

    Args:
        weight (float | str): :math:`\lambda` >= 0, or ``'auto'``.
        share (float, optional): s > 0, only with ``'auto'``. Defaults to None: 0.2.
        fade (float): f in [0, 1]. Defaults to 0, no fading.

    Attributes:
        progress (float): p in [0, 1], which :class:`~mmlgd.engine.GuideHook` sets.
        averages (Tensor): (2,) float32, :math:`\bar L` and :math:`\bar G`.

    Raises:
        ConfigError: A number is out of its range, or a share is given with a fixed weight.

    Examples:
        >>> weighing = Weighing('auto', share=0.5)
        >>> weighing(torch.tensor(4.0), torch.tensor(8.0))
        tensor(0.2500)
    """

    def __init__(self, weight: Union[float, str] = 'auto', share: Optional[float] = None, fade: float = 0.0):
        super().__init__()
        fixed = not isinstance(weight, str)
        require(weight >= 0 if fixed else weight == 'auto', f"Expected weight='auto' or a number >= 0, got {weight!r}.")
        require(share is None or not fixed, f"share={share} is of weight='auto', but weight={weight}. Leave one out.")
        require(share is None or share > 0, f"Expected share, of the model's own loss, above 0, got {share}.")
        require(0 <= fade <= 1, f'Expected fade, a share of the training, in [0, 1], got {fade}.')
        self.weight, self.share, self.fade = weight, share or SHARE, fade
        self.progress = 0.0
        self.register_buffer('averages', torch.zeros(2))

    @torch.no_grad()
    def forward(self, own: Tensor, terms: Tensor) -> Tensor:
        """Weigh a step.

        Args:
            own (Tensor): The model's own loss, a scalar.
            terms (Tensor): The sum of the teacher's terms, a scalar.

        Returns:
            Tensor: Float32 scalar, without gradient, equal on all ranks.
        """
        fading = min(1.0, (1 - self.progress) / self.fade) if self.fade else 1.0
        if not isinstance(self.weight, str):
            return torch.full((), self.weight * fading, device=terms.device)
        seen = torch.stack([own.detach().float(), terms.detach().float()])
        all_reduce(seen, 'mean')
        usable = seen.isfinite().all()  # a broken step must not stay in the averages
        self.averages.lerp_(torch.where(usable, seen, 0.0), (1 - MEMORY) * usable)
        # A loss may be below 0, a log-likelihood for example; a weight below 0 would drive the student off the teacher.
        return self.share * fading * self.averages[0].abs() / self.averages[1].clamp(min=1e-8)

    def extra_repr(self) -> str:
        """Describe all settings, for ``print(model)``."""
        weight = f'auto, {self.share:g} of the own loss' if self.weight == 'auto' else f'{self.weight:g}'
        return f'weight={weight}, fade={self.fade:g}'
