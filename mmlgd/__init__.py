"""mmlgd: pre-train small vision backbones with language (LGD, arXiv 2406.11689) on the OpenMMLab stack.

The names below are loaded at their first use, and so are the parts that a config names: ``import mmlgd`` is fast,
changes nothing for other libraries, and works where the stack does not, so that ``mmlgd doctor`` can say why.
"""

from contextlib import suppress
from importlib import import_module

from .version import __version__

# Where mmengine cannot be imported, no config is built; what needs it names the cause at its first use.
with suppress(Exception):
    from . import registry  # noqa: F401

_PLACES = {
    'LGD': 'models',
    'ConSETeacher': 'models',
    'CosineLoss': 'models',
    'DistillationMetric': 'evaluation',
    'KNNClassifier': 'models',
    'LGDLoss': 'models',
    'MoCoV2Augmentation': 'models',
    'OpenCLIPTeacher': 'models',
    'PretrainDataPreprocessor': 'models',
    'QueueBank': 'models',
    'TextualSemanticsBank': 'models',
    'VisualSemanticsBank': 'models',
    'ZeroShotInferencer': 'student',
    'get_student': 'student',
    'get_zero_shot_classifier': 'student',
    'pretrain': 'run.pretrain',
    'safe_loading': 'checkpoints',
}
_ROOMS = (
    'checkpoints',
    'datasets',
    'demo',
    'engine',
    'evaluation',
    'models',
    'run',
    'store',
    'student',
    'text',
    'utils',
)

__all__ = ['__version__', *_PLACES]


def __getattr__(name: str):
    if name not in _PLACES and name not in _ROOMS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from .stack import check_stack  # a stack outside the ranges is named before its import errors are

    check_stack()
    room = import_module(f'.{_PLACES.get(name, name)}', __name__)
    return getattr(room, name) if name in _PLACES else room


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_ROOMS})
