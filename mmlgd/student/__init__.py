"""The trained student with its names, image size and statistics, and its predictions."""

from .backbone import get_student
from .inferencer import ZeroShotInferencer
from .segment import Segmentation, Segmenter
from .segmentor import ZeroShotSegmentor
from .student import Student
from .zero_shot import get_zero_shot_classifier

__all__ = [
    'Segmentation',
    'Segmenter',
    'Student',
    'ZeroShotInferencer',
    'ZeroShotSegmentor',
    'get_student',
    'get_zero_shot_classifier',
]
