"""Evaluation: what a student has learned, while it trains and afterwards, mostly without labels."""

from .distillation_metric import DistillationMetric
from .frozen import Features, FrozenModel, extract, load_frozen, load_teacher, pipeline_of
from .probes import choose_c, knn_accuracy, leave_one_out_accuracy, linear_accuracy, top1, unit_rows

__all__ = [
    'DistillationMetric',
    'Features',
    'FrozenModel',
    'choose_c',
    'extract',
    'knn_accuracy',
    'leave_one_out_accuracy',
    'linear_accuracy',
    'load_frozen',
    'load_teacher',
    'pipeline_of',
    'top1',
    'unit_rows',
]
