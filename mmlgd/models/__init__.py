"""Models: the LGD algorithm and its parts."""

from .banks import TextualSemanticsBank, VisualSemanticsBank
from .lgd import LGD
from .losses import LGDLoss
from .necks import ProjectionNeck
from .teachers import BaseTeacher, ConSETeacher, OpenCLIPTeacher
from .zero_shot import ZeroShotClassifier

__all__ = [
    'LGD',
    'BaseTeacher',
    'ConSETeacher',
    'LGDLoss',
    'OpenCLIPTeacher',
    'ProjectionNeck',
    'TextualSemanticsBank',
    'VisualSemanticsBank',
    'ZeroShotClassifier',
]
