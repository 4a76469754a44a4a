"""mmlgd: pre-train small vision backbones with language (LGD, arXiv 2406.11689) on the OpenMMLab stack.

The names below are loaded at their first use, and so are the parts that a config names: ``import mmlgd`` is fast,
changes nothing for other libraries, and works where the stack does not, so that ``mmlgd doctor`` can say why.
"""

from contextlib import suppress
from importlib import import_module

from .version import __version__

# If mmengine cannot be imported, no config can be built. The first use of a name that needs mmengine says why.
with suppress(Exception):
    from . import registry  # noqa: F401

_PLACES = {
    'LGD': 'models',
    'BankRows': 'models',
    'ConSETeacher': 'models',
    'CosineLoss': 'models',
    'CosineTerm': 'models',
    'CrossEntropyTerm': 'models',
    'DistillationLoss': 'models',
    'DistillationMetric': 'evaluation',
    'Guided': 'models',
    'LGDLoss': 'models',
    'MoCoV2Augmentation': 'models',
    'OpenCLIPTeacher': 'models',
    'PretrainDataPreprocessor': 'models',
    'QueueBank': 'models',
    'RADIOTeacher': 'models',
    'RegressionTerm': 'models',
    'SimilarityTerm': 'models',
    'TIPSTeacher': 'models',
    'TeacherPair': 'models',
    'TextualSemanticsBank': 'models',
    'Student': 'student',
    'StudentPlaces': 'models',
    'VisualSemanticsBank': 'models',
    'ZeroShotInferencer': 'student',
    'ZeroShotSegmentor': 'student',
    'ask_teacher': 'run.asking',
    'compare': 'studies.compare',
    'draw_banks': 'run.drawing',
    'draw_map': 'run.drawing',
    'draw_neighbours': 'run.drawing',
    'convert': 'converters.conversions',
    'detect': 'run.downstream',
    'evaluate': 'run.evaluating',
    'export': 'converters.exports',
    'get_student': 'student',
    'get_zero_shot_classifier': 'student',
    'predict': 'run.predicting',
    'pretrain': 'run.pretrain',
    'prove': 'studies.prove',
    'publish': 'converters.publishing',
    'replay': 'run.replaying',
    'report': 'pages',
    'report_names': 'run.naming',
    'safe_loading': 'checkpoints',
    'segment': 'run.downstream',
    'store_teacher': 'run.storing',
    'study': 'studies.study',
    'test': 'run.testing',
    'train': 'run.training',
}
# No package has the name of a function above: importing a module `mmlgd.export` would replace the function.
_ROOMS = (
    'benchmarks',
    'checkpoints',
    'cli',
    'converters',
    'datasets',
    'demo',
    'engine',
    'evaluation',
    'figures',
    'models',
    'pages',
    'run',
    'store',
    'student',
    'studies',
    'text',
    'utils',
)

__all__ = ['__version__', *_PLACES]


def __getattr__(name: str):
    if name not in _PLACES and name not in _ROOMS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from .stack import check_stack  # reports a stack outside the ranges before its import errors appear

    check_stack()
    room = import_module(f'.{_PLACES.get(name, name)}', __name__)
    return getattr(room, name) if name in _PLACES else room


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_ROOMS})
