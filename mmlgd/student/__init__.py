"""What is left of a run: a student with its names, as plain modules and as a predictor."""

from .backbone import get_student
from .inferencer import ZeroShotInferencer
from .zero_shot import get_zero_shot_classifier

__all__ = ['ZeroShotInferencer', 'get_student', 'get_zero_shot_classifier']
