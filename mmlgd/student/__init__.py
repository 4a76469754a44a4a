"""What is left of a run: the student with its names, its size and its statistics, and what it says of images."""

from .backbone import get_student
from .inferencer import ZeroShotInferencer
from .predict import predict
from .student import Student
from .zero_shot import get_zero_shot_classifier

__all__ = ['Student', 'ZeroShotInferencer', 'get_student', 'get_zero_shot_classifier', 'predict']
