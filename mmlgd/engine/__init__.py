"""Hooks for mmengine's runs: checks before the first step, numbers of each step, reports."""

from .checks import (
    AnnotationCheckHook,
    FrozenBackboneHook,
    PretrainedCheckHook,
    StepsCheckHook,
    TeacherCheckHook,
    VocabularyCheckHook,
)
from .numerics import (
    BankHealthHook,
    DeferredLossesHook,
    EMAHook,
    EpochSeedHook,
    FiniteCheckHook,
    GuideHook,
    NonFiniteError,
)
from .reports import AnswersHook, BadImagesHook, CurvesHook, ProgressHook, SummaryHook

__all__ = [
    'AnnotationCheckHook',
    'AnswersHook',
    'BadImagesHook',
    'BankHealthHook',
    'CurvesHook',
    'DeferredLossesHook',
    'EMAHook',
    'EpochSeedHook',
    'FiniteCheckHook',
    'FrozenBackboneHook',
    'GuideHook',
    'NonFiniteError',
    'PretrainedCheckHook',
    'ProgressHook',
    'StepsCheckHook',
    'SummaryHook',
    'TeacherCheckHook',
    'VocabularyCheckHook',
]
