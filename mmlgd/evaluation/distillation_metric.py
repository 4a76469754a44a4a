"""A metric of the agreement between student and teacher, which needs no labels."""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.models.zero_shot import effective_number
from mmlgd.registry import METRICS

from .probes import leave_one_out_accuracy


@METRICS.register_module()
class DistillationMetric(BaseMetric):
    r"""Compare the student with its teacher on the evaluation images of :class:`~mmlgd.LGD`.

    With student embeddings s, teacher embeddings t and their nearest class names
    :math:`y_s = \arg\max_k s \cdot \text{TSB}_k` and :math:`y_t`:

    - ``agreement``: share of images with :math:`y_s = y_t`, in per cent;
    - ``cosine``: mean of :math:`s \cdot t`, in -1..1;
    - ``effective_classes`` and ``teacher_effective_classes``: :math:`\exp H(p)`, where p is the share of each class
      among :math:`y_s`, or :math:`y_t`: K if all classes are used equally, 1 if only one is used;
    - ``leave_one_out_knn``: if the images have labels, top-1 accuracy of the k nearest *other* evaluation
      images in the joint space, in per cent. No training images are involved: it compares epochs of a run, and is
      not the k-NN accuracy of the literature, which ``mmlgd evaluate`` computes.

    The evaluation runs the teacher anyway, so that the metric costs almost nothing. ``leave_one_out_knn`` compares all
    pairs of images, on the accelerator if there is one.

    Args:
        k (int): Number of neighbours (20 in the literature); 0 leaves ``leave_one_out_knn`` out. Defaults to 20.
        temperature (float): Temperature τ > 0 of the neighbours' vote. Defaults to 0.07, as in the literature.
        collect_device (str): Device on which mmengine gathers the results of several ranks, ``'cpu'`` or ``'gpu'``.
            Defaults to ``'cpu'``.
        prefix (str, optional): Prefix of the names in the log. Defaults to ``'distillation'``.
        teacher (bool): Compare with the teacher. If not, only ``effective_classes`` and ``leave_one_out_knn`` are left:
            so it is in a run from a teacher store, which has no teacher for other images. Defaults to True.

    Raises:
        ValueError: ``k`` is negative, or ``temperature`` is not positive. During evaluation: the samples have no
            teacher predictions.

    Examples:
        >>> val_evaluator = [dict(type='mmpretrain.Accuracy'), dict(type='mmlgd.DistillationMetric')]
    """

    default_prefix = 'distillation'

    def __init__(
        self,
        k: int = 20,
        temperature: float = 0.07,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        teacher: bool = True,
    ):
        super().__init__(collect_device=collect_device, prefix=prefix)
        if k < 0 or temperature <= 0:
            raise ConfigError(f'Expected k >= 0 and a positive temperature, got k={k} and temperature={temperature}.')
        self.teacher = teacher
        self.k = k
        self.temperature = temperature

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the data of one batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Predictions from :meth:`mmlgd.LGD.predict`, as dicts.
        """
        needed = ('embedding', 'teacher') if self.teacher else ('embedding',)
        for sample in data_samples:
            if any(key not in sample for key in needed):
                raise ConfigError(
                    f'DistillationMetric compares student and teacher, but a sample holds only {sorted(sample)}. It '
                    f'needs mmlgd.LGD with predict_teacher=True: set that, or teacher=False in the metric, or remove '
                    f'the metric from the evaluator.'
                )
            result = dict(student=int(sample['pred_label']), num_classes=len(sample['pred_score']))
            if self.teacher:
                result['teacher'] = int(sample['teacher']['pred_label'])
                result['cosine'] = float(sample['embedding'] @ sample['teacher']['embedding'])
            if self.k and 'gt_label' in sample:
                # Keep only these embeddings: 50,000 images in 1024 dimensions take 200 MB.
                result.update(embedding=sample['embedding'].to('cpu', copy=True), label=int(sample['gt_label']))
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics over all images.

        Args:
            results (List[dict]): Results of :meth:`process` from all ranks.

        Returns:
            Dict[str, float]: As above, without the prefix.
        """
        num_classes = results[0]['num_classes']
        student = torch.tensor([r['student'] for r in results])
        metrics = dict(effective_classes=effective_classes(student, num_classes))
        if self.teacher:
            teacher = torch.tensor([r['teacher'] for r in results])
            metrics.update(
                agreement=100 * (student == teacher).double().mean().item(),
                cosine=sum(r['cosine'] for r in results) / len(results),
                teacher_effective_classes=effective_classes(teacher, num_classes),
            )
        labelled = [r for r in results if 'label' in r]
        if len(labelled) > 1:
            metrics['leave_one_out_knn'] = leave_one_out_accuracy(
                torch.stack([r['embedding'] for r in labelled]),
                torch.tensor([r['label'] for r in labelled]),
                self.k,
                self.temperature,
            )
        return metrics


def effective_classes(labels: Tensor, num_classes: int) -> float:
    r"""Compute the effective number of classes, :math:`\exp H(p)`, with p the share of each class.

    Args:
        labels (Tensor): (N,), integers below ``num_classes``.
        num_classes (int): K.

    Returns:
        float: From 1 (a single class) to K (all classes equal).

    Examples:
        >>> round(effective_classes(torch.tensor([0, 0, 1, 1]), num_classes=3), 3)
        2.0
    """
    return effective_number(torch.bincount(labels, minlength=num_classes))
