"""Students as models of torchvision and timm."""

import importlib
from functools import partial
from pathlib import Path
from typing import Callable, Optional

from torch import Tensor, nn

from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import MissingPackageError
from mmlgd.student.saved import SavedStudent

from .library_model import LibraryModel, export_model, tensors_in
from .mobilenet_names import mobilenet_names
from .openmmlab_backbones import STAGES
from .written import Written

RESNETS = (18, 34, 50, 101, 152)
TIMM_MOBILENETS = {0.35: '035', 0.5: '050', 0.75: '075', 1.0: '100', 1.4: '140'}
PLAIN_WIDTH = 64
SUPPORTED = (
    f'mmpretrain.ResNet (depth {", ".join(map(str, RESNETS))}; 64 channels wide), mmpretrain.MobileNetV2 and, to timm, '
    f'mmpretrain.TIMMBackbone'
)


def export_torchvision(student: SavedStudent, out: Path) -> Written:
    """Write a bare state dict in torchvision's names.

    Args:
        student (SavedStudent): The student.
        out (Path): The file to write.

    Returns:
        Written: The file.

    Raises:
        CheckpointError: torchvision has no such model, or none of this width or depth.
    """
    return export_model(student, out, 'torchvision', partial(_candidates, 'torchvision', _torchvision))


def export_timm(student: SavedStudent, out: Path) -> Written:
    """Write a bare state dict in timm's names.

    Args:
        student (SavedStudent): The student.
        out (Path): The file to write.

    Returns:
        Written: The file.

    Raises:
        MissingPackageError: timm is not installed.
        CheckpointError: timm has no such model, or none of this width or depth.
    """
    return export_model(student, out, 'timm', partial(_candidates, 'timm', _timm))


def _candidates(
    library: str, build: Callable[..., LibraryModel], backbone: dict, weights: dict[str, Tensor]
) -> list[Callable[[], LibraryModel]]:
    """List the library's only model of this architecture, without a classification head: a student has none."""
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise MissingPackageError(
            f'The file is checked with {library} itself, which cannot be imported: {error}. pip install {library}.'
        ) from error
    name, options = _model(library, backbone)
    kind = backbone['type'].rpartition('.')[2]
    if kind == 'TIMMBackbone':
        weights = {key.removeprefix('timm_model.'): value for key, value in weights.items()}
    elif kind == 'MobileNetV2':
        names = mobilenet_names(weights, library)
        weights = {names[key]: value for key, value in weights.items()}
    # These models end with the last stage, whichever the student returns.
    stages = (STAGES[kind] - 1,) if kind in STAGES else None
    return [partial(build, name, options, weights, stages)]


def _model(library: str, backbone: dict) -> tuple[str, dict]:
    """Name a student's model in a library, and the options to build it with."""
    kind = backbone['type'].rpartition('.')[2]
    if kind == 'ResNet':
        depth = backbone['depth']
        if depth not in RESNETS:
            raise CheckpointError(f'{library} has ResNets of depth {RESNETS}, the student has {depth}. {_INSTEAD}')
        for key in ('base_channels', 'stem_channels'):
            if backbone.get(key, PLAIN_WIDTH) != PLAIN_WIDTH:
                raise CheckpointError(
                    f'The student is a ResNet-{depth} with {key}={backbone[key]}; {library} has it with {PLAIN_WIDTH} '
                    f'only. {_INSTEAD}'
                )
        return f'resnet{depth}', {}
    if kind == 'MobileNetV2':
        width = backbone.get('widen_factor', 1.0)
        if library == 'torchvision':
            return 'mobilenet_v2', {} if width == 1 else dict(width_mult=width)
        if width not in TIMM_MOBILENETS:
            raise CheckpointError(
                f'The student is a MobileNetV2 with widen_factor={width}; timm has {list(TIMM_MOBILENETS)}. {_INSTEAD}'
            )
        return f'mobilenetv2_{TIMM_MOBILENETS[width]}', {}
    if kind == 'TIMMBackbone' and library == 'timm':
        ours = ('type', '_scope_', 'model_name', 'pretrained', 'checkpoint_path', 'init_cfg')
        options = {key: value for key, value in backbone.items() if key not in ours}
        if 'in_channels' in options:
            options['in_chans'] = options.pop('in_channels')
        return backbone['model_name'], options
    instead = 'Use --to timm or --to mmpretrain.' if kind == 'TIMMBackbone' else _INSTEAD
    raise CheckpointError(f'{library} does not have the student {backbone["type"]}. Supported: {SUPPORTED}. {instead}')


_INSTEAD = 'Use --to mmpretrain, mmdet or mmseg.'


def _torchvision(
    name: str, options: dict, weights: dict[str, Tensor], stages: Optional[tuple[int, ...]]
) -> LibraryModel:
    import torchvision

    module = torchvision.models.get_model(name, weights=None, **options)
    head = 'fc' if hasattr(module, 'fc') else 'classifier'
    setattr(module, head, nn.Identity())
    return LibraryModel(
        module=module,
        weights=weights,
        stages=stages,
        features=lambda images: [module(images)],
        expected=lambda features: [features[-1].mean((2, 3))],  # torchvision's models end with the pooled feature
        usage=(
            f'model = torchvision.models.{name}({_arguments(options)})\n'
            f'model.{head} = torch.nn.Identity()  # or a head of yours, to be trained: load with strict=False then\n'
            f"model.load_state_dict(torch.load('OUT', weights_only=True))"
        ),
        note=f'A student has no classifier: {head}.* is not in the file.',
    )


def _timm(name: str, options: dict, weights: dict[str, Tensor], stages: Optional[tuple[int, ...]]) -> LibraryModel:
    import timm

    is_stages = options.pop('features_only', False)  # timm then leaves out the layers after the last stage, too
    module = timm.create_model(
        name, **options, **(dict(features_only=True) if is_stages else dict(num_classes=0, global_pool=''))
    )
    arguments = _arguments(dict(features_only=True, **options) if is_stages else dict(num_classes=0, **options))
    return LibraryModel(
        module=module,
        weights=weights,
        stages=stages,
        features=lambda images: tensors_in(module(images)),
        expected=lambda features: features if is_stages else features[-1:],
        usage=(
            f'model = timm.create_model({name!r}, {arguments})\n'
            f"model.load_state_dict(torch.load('OUT', weights_only=True))"
        ),
        note=(
            'The file has the stages that features_only=True keeps: the layers after them are not in the student.'
            if is_stages
            else 'A student has no classifier: the head of timm (num_classes > 0) is not in the file.'
        ),
    )


def _arguments(options: dict) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in options.items())
