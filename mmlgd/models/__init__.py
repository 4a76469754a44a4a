"""Models: the LGD algorithm and its parts."""

from .augmentation import MoCoV2Augmentation
from .banks import TextualSemanticsBank, VisualSemanticsBank
from .knn import KNNClassifier
from .lgd import LGD
from .losses import LGDLoss
from .necks import ProjectionNeck
from .preprocessor import PretrainDataPreprocessor
from .teachers import BaseTeacher, ConSETeacher, OpenCLIPTeacher, StoredTeacher
from .zero_shot import ZeroShotClassifier

__all__ = [
    'LGD',
    'BaseTeacher',
    'ConSETeacher',
    'KNNClassifier',
    'LGDLoss',
    'MoCoV2Augmentation',
    'OpenCLIPTeacher',
    'PretrainDataPreprocessor',
    'ProjectionNeck',
    'StoredTeacher',
    'TextualSemanticsBank',
    'VisualSemanticsBank',
    'ZeroShotClassifier',
]
