"""The trained student with its names, image size and statistics, and its predictions."""

from .backbone import get_student
from .inferencer import ZeroShotInferencer
from .predict import predict
from .student import Student
from .zero_shot import get_zero_shot_classifier

__all__ = ['Student', 'ZeroShotInferencer', 'get_student', 'get_zero_shot_classifier', 'predict']
