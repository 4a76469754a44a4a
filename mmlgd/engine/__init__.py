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
    EpochTrainLoop,
    FiniteCheckHook,
    GuideHook,
    IterTrainLoop,
    NonFiniteError,
)
from .reports import AnswersHook, BadImagesHook, CurvesHook, ProgressHook, StartHook, SummaryHook

__all__ = [
    'AnnotationCheckHook',
    'AnswersHook',
    'BadImagesHook',
    'BankHealthHook',
    'CurvesHook',
    'DeferredLossesHook',
    'EMAHook',
    'EpochSeedHook',
    'EpochTrainLoop',
    'FiniteCheckHook',
    'FrozenBackboneHook',
    'GuideHook',
    'IterTrainLoop',
    'NonFiniteError',
    'PretrainedCheckHook',
    'ProgressHook',
    'StartHook',
    'StepsCheckHook',
    'SummaryHook',
    'TeacherCheckHook',
    'VocabularyCheckHook',
]
