"""Data for the demo's figures: the student's view of images and names."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from torch import Tensor


class Seen(NamedTuple):
    """Predictions of student and teacher on the evaluation images.

    Attributes:
        images (tuple): Images (N, H, W, 3), labels (N,), names, scores (N, K) of student and of teacher.
        similarities (tuple): Names, then the cosine of each true class's mean embedding to each row of the textual
            bank, (C, K), of student and of teacher.
    """

    images: tuple
    similarities: tuple


@torch.no_grad()
def look_at(runner: Runner) -> Seen:
    """Run student and teacher over the evaluation images.

    Args:
        runner (Runner): A runner with a trained model.

    Returns:
        Seen: Images, scores and similarities.
    """
    model = runner.model.eval()
    parts = []
    for data in runner.val_dataloader:
        inputs = model.data_preprocessor(data)['inputs']
        parts.append((data['inputs'], model.embed(inputs), model.teacher.encode_image(inputs), model.val_step(data)))
    pixels, student, teacher = (torch.cat([part[i] for part in parts]) for i in range(3))
    samples = [sample for part in parts for sample in part[3]]
    labels = torch.cat([sample.gt_label for sample in samples])
    scores = torch.stack([sample.pred_score for sample in samples])
    teacher_scores = torch.stack([sample.teacher.pred_score for sample in samples])
    images = pixels.flip(1).permute(0, 2, 3, 1)  # BGR as loaded, to RGB and channels last
    bank = model.textual_bank.bank
    return Seen(
        (images.numpy(), labels.numpy(), model.class_names, scores.numpy(), teacher_scores.numpy()),
        (model.class_names, *(_class_to_name(e, labels, bank).numpy() for e in (student, teacher))),
    )


def _class_to_name(embeddings: Tensor, labels: Tensor, bank: Tensor) -> Tensor:
    means = torch.stack([embeddings[labels == k].mean(0) for k in labels.unique()])  # (C, D)
    return F.normalize(means, dim=-1) @ bank.T  # (C, K)
