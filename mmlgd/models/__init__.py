"""Models: the LGD algorithm and its parts."""

from .augmentation import MoCoV2Augmentation
from .banks import TextualSemanticsBank, VisualSemanticsBank
from .knn import KNNClassifier
from .lgd import LGD
from .losses import CosineLoss, LGDLoss
from .necks import ProjectionNeck
from .precision import auto_optim_wrapper
from .preprocessor import PretrainDataPreprocessor
from .queue import QueueBank
from .teachers import BaseTeacher, ConSETeacher, OpenCLIPTeacher
from .zero_shot import ZeroShotClassifier

__all__ = [
    'LGD',
    'BaseTeacher',
    'ConSETeacher',
    'CosineLoss',
    'KNNClassifier',
    'LGDLoss',
    'MoCoV2Augmentation',
    'OpenCLIPTeacher',
    'PretrainDataPreprocessor',
    'ProjectionNeck',
    'QueueBank',
    'TextualSemanticsBank',
    'VisualSemanticsBank',
    'ZeroShotClassifier',
    'auto_optim_wrapper',
]
