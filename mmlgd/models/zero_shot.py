"""Scores of class names, and the default image statistics."""

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

IMAGENET_RGB = dict(
    type='mmpretrain.SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)


def zero_shot_scores(embeddings: Tensor, bank: Tensor, temperature: float) -> Tensor:
    r"""Score images against class names, :math:`\text{softmax}(s \cdot \text{TSB} / \tau)`, always in float32.

    Args:
        embeddings (Tensor): (N, D), unit rows.
        bank (Tensor): (K, D), unit rows.
        temperature (float): τ > 0.

    Returns:
        Tensor: (N, K) float32, rows that sum to 1.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        return (embeddings.float() @ bank.float().T / temperature).softmax(dim=-1)


def set_scores(data_samples: list[DataSample], scores: Tensor) -> None:
    """Write (N, K) scores and their arg max into N samples."""
    labels = scores.argmax(dim=1).tolist()  # a label is a number on the host: one wait for the device, not N
    for sample, score, label in zip(data_samples, scores, labels):
        sample.set_pred_score(score).set_pred_label(label)


def effective_number(counts: Tensor) -> float:
    r"""Compute how many answers are in use, :math:`\exp H(p)`, with p the share of each answer.

    Args:
        counts (Tensor): (K,), how often each answer was given; at least one was.

    Returns:
        float: From 1 (always the same answer) to K (all equally often).

    Examples:
        >>> round(effective_number(torch.tensor([2, 2, 0])), 3)
        2.0
    """
    return torch.special.entr(counts.double() / counts.sum()).sum().exp().item()
