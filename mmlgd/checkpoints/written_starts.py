"""Students that a config of its own names as a start: in ``init_cfg``, as ``pretrained`` or by ``load_from``."""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from mmengine import registry as root
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from mmlgd.errors import DownloadError, MissingFileError
from mmlgd.registry import find_class
from mmlgd.utils.validation import listed

from .files import CheckpointError
from .fitting import PREFIX, built_part, check_start, is_pretrained, read_start, written_start
from .parts import part_weights

_OF_STUDENTS = 'textual_bank.'  # what only checkpoints of LGD have


class _Start(NamedTuple):
    """A start that a config names: the place and settings of its part, the source, and the prefix of its keys.

    Attributes:
        may_be_other: The class of the part reads the source itself, perhaps in a form that mmengine does not know.
    """

    place: str
    settings: dict
    source: Any
    prefix: Optional[str]
    may_be_other: bool = False


def check_written(cfg: Config) -> None:
    """Refuse a student that a config names as the start of a part, and of which this part would lose weights.

    The part may have more keys than the student, such as those of deformable convolutions, or fewer stages, as those of
    C4 detectors. Weights of other origin may be meant for a part of a backbone: the stock configs have such. A download
    is kept, and the run reads what is kept.

    Raises:
        MissingFileError: There is no such file. mmengine would say so after it has built the data sets.
        CheckpointError: It does not fit, or there is no backbone that it would start.
        DownloadError: It cannot be downloaded. The run could not download it either.
    """
    for place, settings, source, prefix, may_be_other in _starts(cfg):
        try:
            state = read_start(source) if _may_be_student(source) else {}
        except (CheckpointError, DownloadError, MissingFileError) as error:
            if may_be_other:
                continue
            if isinstance(error, MissingFileError):
                raise MissingFileError(
                    f'{error} The config names it as the start of {place}. Give the file there, or another start with '
                    f'--student; `--student none` starts the backbone at random.'
                ) from error
            raise
        if not any(key.startswith(_OF_STUDENTS) for key in state):
            continue
        if place == 'model' and not prefix and not isinstance(settings.get('backbone'), dict):
            raise CheckpointError(
                f'{source} is a student, and the model has no backbone of its own: nothing would be loaded. Write the '
                f'start into the part that has one, as in model=dict(detector=dict(backbone=dict(init_cfg='
                f'{written_start(source)}))).'
            )
        if not prefix and isinstance(settings.get('backbone'), dict):  # the start of a whole model
            place, settings, prefix = f'{place}.backbone', settings['backbone'], PREFIX
        module = built_part(cfg, place, settings)
        if prefix:
            state = _for_part(module, state, prefix, source, place)
        check_start(module, state, prefix, source, place)


def _for_part(module: nn.Module, state: dict[str, Tensor], prefix: str, source: str, place: str) -> dict[str, Tensor]:
    """Give a part its own weights where a student has none, or leave out the student's stages that the part has not."""
    there, own, prefix = part_weights(state, prefix, source), module.state_dict(), f'{prefix.rstrip(".")}.'
    what = f'the {type(module).__name__} at {place}'
    if rest := {key: value for key, value in own.items() if key not in there}:
        _warn(
            f'{source} has no weights for {len(rest)} of {len(own)} keys of {what}, such as {next(iter(rest))}: these '
            f'start as they would without it.'
        )
    stages, its = {_stage(key) for key in own}, {_stage(key) for key in there}
    if stages < its:  # otherwise another network
        cut = {key for key in there if _stage(key) not in stages}
        _warn(
            f'{source} has {len(cut)} weights of stages that {what} has not, such as {min(cut)}: these are not loaded.'
        )
        state = {key: value for key, value in state.items() if key.removeprefix(prefix) not in cut}
    return {**state, **{f'{prefix}{key}': value for key, value in rest.items()}}


def _stage(key: str) -> str:
    return key.split('.')[0]


def _warn(text: str) -> None:
    print_log(text, 'current', logging.WARNING)


def _may_be_student(source: Any) -> bool:
    """Tell whether a source is a file or an address, and no name of mmengine, such as ``torchvision://resnet18``."""
    if not source or not isinstance(source, str):
        return False
    return '://' not in source or source.startswith(('http://', 'https://'))


def _starts(cfg: Config) -> Iterator[_Start]:
    """List the starts of a config."""
    model = cfg.get('model') or {}
    if not cfg.get('resume'):
        yield _Start('model', model, cfg.get('load_from'), None)
    for place, settings in _parts('model', model, cfg):
        for init_cfg in filter(is_pretrained, listed(settings.get('init_cfg') or [])):
            yield _Start(place, settings, init_cfg.get('checkpoint'), init_cfg.get('prefix'))
        if source := settings.get('pretrained'):
            backbone = settings.get('backbone')
            if isinstance(backbone, dict) and _comes_from('mmseg.', settings, cfg):  # in mmpretrain it is for all
                yield _Start(f'{place}.backbone', backbone, source, None)
            else:
                yield _Start(place, settings, source, None, may_be_other=True)


def _parts(place: str, settings: Any, cfg: Config) -> Iterator[tuple[str, dict]]:
    """List the parts of a model, but not its teachers: their weights are large, and are no students."""
    if isinstance(settings, dict):
        if 'type' in settings:
            if _comes_from('mmlgd.models.teachers.', settings, cfg):
                return
            yield place, settings
        for key, value in settings.items():
            yield from _parts(f'{place}.{key}', value, cfg)
    elif isinstance(settings, (list, tuple)):
        for k, value in enumerate(settings):
            yield from _parts(f'{place}.{k}', value, cfg)


def _comes_from(package: str, settings: dict, cfg: Config) -> bool:
    """Tell whether the class of a part, or one that it derives from, is in a package."""
    kind = settings['type']
    found = (
        find_class(kind, settings.get('_scope_') or cfg.get('default_scope'), root.MODELS)
        if isinstance(kind, str)
        else kind
    )
    return any(one.__module__.startswith(package) for one in getattr(found, '__mro__', ()))
