"""Engine: what mmlgd adds to mmengine: checks of a run and of its numbers, logs, and a registration."""

from .annotation_hook import AnnotationCheckHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bad_pictures_hook import BadPicturesHook
from .bank_health_hook import BankHealthHook
from .curves_hook import CurvesHook
from .deferred_losses_hook import DeferredLossesHook
from .ema_hook import EMAHook
from .epoch_seed_hook import EpochSeedHook
from .finite_check_hook import FiniteCheckHook, NonFiniteError
from .pretrained_hook import PretrainedCheckHook
from .progress_hook import ProgressHook
from .registration import register_with_mmengine
from .steps_check_hook import StepsCheckHook
from .summary_hook import SummaryHook
from .vocabulary_hook import VocabularyCheckHook

__all__ = [
    'AnnotationCheckHook',
    'AtomicCheckpointHook',
    'BadPicturesHook',
    'BankHealthHook',
    'CurvesHook',
    'DeferredLossesHook',
    'EMAHook',
    'EpochSeedHook',
    'FiniteCheckHook',
    'NonFiniteError',
    'PretrainedCheckHook',
    'ProgressHook',
    'StepsCheckHook',
    'SummaryHook',
    'VocabularyCheckHook',
    'register_with_mmengine',
]
