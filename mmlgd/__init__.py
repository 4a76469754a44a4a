"""mmlgd: pre-train small vision backbones with language (LGD, arXiv 2406.11689) on the OpenMMLab stack."""

from .stack import check_stack

check_stack()

# Below the check on purpose: a stack outside the ranges must be named before its import errors are.
from . import datasets, engine, evaluation, models  # noqa: E402, F401
from .apis import ZeroShotInferencer, get_student, get_zero_shot_classifier  # noqa: E402
from .evaluation import DistillationMetric  # noqa: E402
from .models import (  # noqa: E402
    LGD,
    ConSETeacher,
    CosineLoss,
    KNNClassifier,
    LGDLoss,
    MoCoV2Augmentation,
    OpenCLIPTeacher,
    PretrainDataPreprocessor,
    QueueBank,
    TextualSemanticsBank,
    VisualSemanticsBank,
)
from .version import __version__  # noqa: E402

engine.register_with_mmengine()

__all__ = [
    'LGD',
    'ConSETeacher',
    'CosineLoss',
    'DistillationMetric',
    'KNNClassifier',
    'LGDLoss',
    'MoCoV2Augmentation',
    'OpenCLIPTeacher',
    'PretrainDataPreprocessor',
    'QueueBank',
    'TextualSemanticsBank',
    'VisualSemanticsBank',
    'ZeroShotInferencer',
    '__version__',
    'get_student',
    'get_zero_shot_classifier',
]
