"""Runs of a config: training, evaluation, writing a teacher store, replaying a broken step."""

from .replaying import replay
from .storing import StoreResult, store_teacher
from .testing import test
from .training import TrainResult, train

__all__ = ['StoreResult', 'TrainResult', 'replay', 'store_teacher', 'test', 'train']
