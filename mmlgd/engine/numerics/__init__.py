"""The steps and their numbers: loops, finite values, bank health, losses without a wait, averaged weights, seeds."""

from .bank_health_hook import BankHealthHook
from .deferred_losses_hook import DeferredLossesHook
from .ema_hook import EMAHook
from .epoch_seed_hook import EpochSeedHook
from .finite_check_hook import FiniteCheckHook, NonFiniteError
from .guide_hook import GuideHook
from .loops import EpochTrainLoop, IterTrainLoop

__all__ = [
    'BankHealthHook',
    'DeferredLossesHook',
    'EMAHook',
    'EpochSeedHook',
    'EpochTrainLoop',
    'FiniteCheckHook',
    'GuideHook',
    'IterTrainLoop',
    'NonFiniteError',
]
