"""Engine: what mmlgd adds to mmengine: checks before the first step, logs of a run, and a registration."""

from .annotation_hook import AnnotationCheckHook
from .bad_pictures_hook import BadPicturesHook
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bank_health_hook import BankHealthHook
from .curves_hook import CurvesHook
from .deferred_losses_hook import DeferredLossesHook
from .epoch_seed_hook import EpochSeedHook
from .pretrained_hook import PretrainedCheckHook
from .progress_hook import ProgressHook
from .registration import register_with_mmengine
from .summary_hook import SummaryHook
from .vocabulary_hook import VocabularyCheckHook

__all__ = [
    'AnnotationCheckHook',
    'BadPicturesHook',
    'AtomicCheckpointHook',
    'BankHealthHook',
    'CurvesHook',
    'DeferredLossesHook',
    'EpochSeedHook',
    'PretrainedCheckHook',
    'ProgressHook',
    'SummaryHook',
    'VocabularyCheckHook',
    'register_with_mmengine',
]
