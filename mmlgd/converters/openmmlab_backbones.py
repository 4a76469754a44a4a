"""Students as backbones of mmpretrain, mmdet and mmseg."""

import importlib
import inspect
from functools import partial
from pathlib import Path
from typing import Callable

from torch import Tensor

from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import MissingPackageError, sentence
from mmlgd.student.saved import SavedStudent
from mmlgd.version import __version__

from .library_model import LibraryModel, export_model, tensors_in
from .mobilenet_names import mobilenet_names
from .written import Written

# Settings of training, which do not affect the weights.
RUN = ('type', '_scope_', 'init_cfg', 'pretrained', 'out_indices', 'frozen_stages', 'norm_eval', 'with_cp')
STAGES = {'ResNet': 4, 'MobileNetV2': 8}  # for others, the stages in the student's own config are compared


def export_openmmlab(library: str, student: SavedStudent, out: Path) -> Written:
    """Write a student for ``init_cfg=dict(type='Pretrained', ...)`` of a library.

    Args:
        library (str): ``'mmpretrain'``, ``'mmdet'`` or ``'mmseg'``.
        student (SavedStudent): The student.
        out (Path): The file to write.

    Returns:
        Written: A checkpoint with ``backbone.*`` keys, the class names and the teacher in its ``meta``.

    Raises:
        MissingPackageError: The library is not installed.
        CheckpointError: The library does not support the student.
    """
    text = student.text() or {}
    told = {key: text.get(key) for key in ('teacher_id', 'class_names')}
    return export_model(
        student, out, library, partial(candidates_of, library), meta=dict(mmlgd_version=__version__, **told)
    )


def candidates_of(library: str, backbone: dict, weights: dict[str, Tensor]) -> list[Callable[[], LibraryModel]]:
    """List classes for a student: the library's own class of this name, and the student's class through its registry.

    Args:
        library (str): ``'mmpretrain'``, ``'mmdet'`` or ``'mmseg'``.
        backbone (dict): The student's config, ``type`` with its scope.
        weights (Dict[str, Tensor]): Weights by mmpretrain's names.

    Returns:
        List[Callable]: Builders to try in turn, because classes of the same name differ between libraries.

    Raises:
        MissingPackageError: The library is not installed.
        CheckpointError: The library has no such backbone.
    """
    kind = backbone['type'].rpartition('.')[2]
    if kind == 'TIMMBackbone' and library != 'mmpretrain':
        raise CheckpointError(
            f'The student is a timm model ({backbone.get("model_name")}); its file is for timm and mmpretrain, not for '
            f'{library}. Use --to timm or --to mmpretrain.'
        )
    try:
        registry = importlib.import_module(f'{library}.registry').MODELS
        importlib.import_module(f'{library}.models')
    except ImportError as error:
        raise MissingPackageError(
            f'The file is checked with {library} itself, which cannot be imported: {error}. Install it beside this '
            f'stack: pip install "mmlgd[openmmlab-dense]", or "mmlgd[onedl-dense]" for the fork.'
        ) from error
    candidates = [name for name in dict.fromkeys((f'{library}.{kind}', backbone['type'])) if registry.get(name)]
    if not candidates:
        raise CheckpointError(
            f'{library} can build neither {library}.{kind} nor {backbone["type"]}. Supported are ResNet, MobileNetV2 '
            f'and every backbone that {library} or mmpretrain has.'
        )
    return [partial(_target, name, library, registry, backbone, weights) for name in candidates]


def _target(name: str, library: str, registry, backbone: dict, weights: dict[str, Tensor]) -> LibraryModel:
    scope, _, kind = name.rpartition('.')
    settings = {key: value for key, value in backbone.items() if key not in RUN}
    known = inspect.signature(registry.get(name)).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        settings = {key: value for key, value in settings.items() if key in known}

    stages = STAGES.get(kind) and tuple(range(settings.get('num_stages', STAGES[kind])))
    note = ''
    if kind == 'MobileNetV2' and scope == 'mmdet':
        names = mobilenet_names(weights, 'mmdet')
        weights = {names[key]: value for key, value in weights.items()}
    if kind == 'MobileNetV2' and scope == 'mmseg':
        stages = stages[:-1]
        note = 'mmseg.MobileNetV2 ends before conv2 (320 to 1280 channels): conv2 is not in the file.'
        weights = {key: value for key, value in weights.items() if not key.startswith('conv2.')}
    compared = stages or backbone.get('out_indices')
    if compared and (stages is None or 'num_stages' in settings):
        # With its default, the class may leave layers of the file out, or have others.
        settings['out_indices'] = compared
    try:
        module = registry.build({**settings, 'type': name, **({'out_indices': stages} if stages else {})})
    except Exception as error:  # a class of the same name can raise anything for foreign settings
        raise CheckpointError(f'{name} cannot be built with the settings of the student: {sentence(error)}') from error
    return LibraryModel(
        module=module,
        weights=weights,
        stages=stages,
        features=lambda images: tensors_in(module(images)),
        expected=lambda features: features,
        usage=_usage(kind if scope == library else name, settings, library),
        note=note,
    )


def _usage(name: str, settings: dict, library: str) -> str:
    arguments = ''.join(f', {key}={value!r}' for key, value in settings.items())
    return (
        f'model = dict({"pretrained=None, " if library == "mmseg" else ""}backbone=dict(\n'
        f'    type={name!r}{arguments},\n'
        f"    init_cfg=dict(type='Pretrained', checkpoint='OUT', prefix='backbone.')))"
    )
