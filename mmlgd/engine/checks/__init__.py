"""Checks before the first step: names, annotations, weights, the teacher's answers, and the steps of all ranks."""

from .annotation_hook import AnnotationCheckHook
from .frozen_backbone_hook import FrozenBackboneHook
from .pretrained_hook import PretrainedCheckHook
from .steps_check_hook import StepsCheckHook
from .teacher_hook import TeacherCheckHook
from .vocabulary_hook import VocabularyCheckHook

__all__ = [
    'AnnotationCheckHook',
    'FrozenBackboneHook',
    'PretrainedCheckHook',
    'StepsCheckHook',
    'TeacherCheckHook',
    'VocabularyCheckHook',
]
