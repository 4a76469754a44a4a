"""Evaluation of students during and after training, mostly without labels."""

from .distillation_metric import DistillationMetric
from .figures import as_markdown
from .frozen import Features, FrozenModel, extract, load_frozen, load_teacher
from .probes import choose_c, knn_accuracy, leave_one_out_accuracy, linear_accuracy, top1, unit_rows

__all__ = [
    'DistillationMetric',
    'Features',
    'FrozenModel',
    'as_markdown',
    'choose_c',
    'extract',
    'knn_accuracy',
    'leave_one_out_accuracy',
    'linear_accuracy',
    'load_frozen',
    'load_teacher',
    'top1',
    'unit_rows',
]
