"""Models: the LGD algorithm and its parts."""

from .augmentation import MoCoV2Augmentation
from .bankless_terms import CosineTerm, RegressionTerm, SimilarityTerm
from .banks import TextualSemanticsBank, VisualSemanticsBank
from .base_bank import Bank, BankRows
from .embedded import Drawn, Embedded
from .guided import Guided
from .lgd import LGD
from .losses import CosineLoss, DistillationLoss, LGDLoss
from .necks import ProjectionNeck
from .places import StudentPlaces, place_map
from .precision import Bfloat16OptimWrapper, auto_optim_wrapper
from .preprocessor import PretrainDataPreprocessor
from .queue import QueueBank
from .teachers import BaseTeacher, ConSETeacher, OpenCLIPTeacher, RADIOTeacher, TeacherPair, TIPSTeacher
from .terms import CrossEntropyTerm, Term

__all__ = [
    'LGD',
    'Bank',
    'BankRows',
    'BaseTeacher',
    'Bfloat16OptimWrapper',
    'ConSETeacher',
    'CosineLoss',
    'CosineTerm',
    'CrossEntropyTerm',
    'DistillationLoss',
    'Drawn',
    'Embedded',
    'Guided',
    'LGDLoss',
    'MoCoV2Augmentation',
    'OpenCLIPTeacher',
    'PretrainDataPreprocessor',
    'ProjectionNeck',
    'QueueBank',
    'RADIOTeacher',
    'RegressionTerm',
    'SimilarityTerm',
    'StudentPlaces',
    'TIPSTeacher',
    'TeacherPair',
    'Term',
    'TextualSemanticsBank',
    'VisualSemanticsBank',
    'auto_optim_wrapper',
    'place_map',
]
