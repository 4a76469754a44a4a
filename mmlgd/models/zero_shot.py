"""The student as a classifier over the rows of a textual bank."""

from typing import Optional

import torch
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample
from torch import Tensor

from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .necks import fit_neck

IMAGENET_RGB = dict(
    type='mmpretrain.SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)


def zero_shot_scores(embeddings: Tensor, bank: Tensor, temperature: float) -> Tensor:
    r"""Score pictures against class names, :math:`\text{softmax}(s \cdot \text{TSB} / \tau)`, in float32 always.

    Args:
        embeddings (Tensor): (N, D), unit rows.
        bank (Tensor): (K, D), unit rows.
        temperature (float): τ > 0.

    Returns:
        Tensor: (N, K) float32, rows that sum to 1.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        return (embeddings.float() @ bank.T / temperature).softmax(dim=-1)


def set_scores(data_samples: list[DataSample], scores: Tensor) -> None:
    """Write (N, K) scores and their arg max into N samples."""
    for sample, score in zip(data_samples, scores):
        sample.set_pred_score(score).set_pred_label(score.argmax())


@MODELS.register_module()
class ZeroShotClassifier(BaseModel):
    r"""Zero-shot classifier: backbone, neck and a textual bank, without the teacher.

    .. math:: p(k \mid x) = \text{softmax}_k\big(\text{neck}(\text{backbone}(x)) \cdot \text{TSB}_k / \tau_S\big)

    Args:
        backbone (dict): As in :class:`~mmlgd.LGD`.
        neck (dict): As there.
        class_names (List[str]): K names, row k of the bank is name k.
        embed_dim (int): D.
        temperature (float): τ_S > 0, of training. Defaults to 0.2, as published.
        data_preprocessor (dict, optional): Picture statistics. Defaults to ImageNet's, RGB.

    Attributes:
        bank (Tensor): (K, D) float32, unit rows; zeros until one is loaded.

    Examples:
        >>> import torch
        >>> from mmlgd.models import ZeroShotClassifier
        >>> model = ZeroShotClassifier(dict(type='mmpretrain.ResNet', depth=18), {}, ['cat', 'dog'], embed_dim=16)
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 2])
    """

    @checked_settings
    def __init__(
        self,
        backbone: dict,
        neck: dict,
        class_names: list[str],
        embed_dim: int,
        temperature: float = 0.2,
        data_preprocessor: Optional[dict] = None,
    ):
        pixels = build_part(data_preprocessor or IMAGENET_RGB, 'model.data_preprocessor')
        super().__init__(data_preprocessor=pixels)
        self.backbone = build_part(backbone, 'model.backbone')
        self.neck = build_part(fit_neck(neck, self.backbone, backbone, embed_dim), 'model.neck')
        self.class_names = list(class_names)
        require(temperature > 0, f'Expected a positive temperature, got {temperature}.')
        self.temperature = temperature
        self.register_buffer('bank', torch.zeros(len(self.class_names), embed_dim))

    def forward(self, inputs: Tensor, data_samples: Optional[list[DataSample]] = None, mode: str = 'tensor'):
        """Score pictures.

        Args:
            inputs (Tensor): (N, 3, H, W), preprocessed.
            data_samples (List[DataSample], optional): N samples to fill in mode ``'predict'``. Defaults to new ones.
            mode (str): ``'tensor'`` for the scores alone, ``'predict'`` for samples. Defaults to ``'tensor'``.

        Returns:
            Tensor | List[DataSample]: (N, K) scores whose rows sum to 1, or samples with ``pred_score`` and
            ``pred_label``.

        Raises:
            ValueError: ``mode`` is neither; there is nothing to train here.
        """
        scores = zero_shot_scores(self.neck(self.backbone(inputs)), self.bank, self.temperature)
        if mode == 'tensor':
            return scores
        if mode != 'predict':
            raise ValueError(f"Expected mode 'tensor' or 'predict', got {mode!r}; training is mmlgd.LGD's.")
        data_samples = data_samples or [DataSample() for _ in inputs]
        set_scores(data_samples, scores)
        return data_samples
