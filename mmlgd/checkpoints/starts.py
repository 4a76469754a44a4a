"""Initial weights of a detector, segmentor or classifier: every key is checked before the first step."""

import copy
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional
from urllib.error import URLError

from mmengine import registry as root
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmlgd.errors import ConfigError, DownloadError, brief, sentence
from mmlgd.registry import find_class
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import listed

from .configs import config_in
from .files import CheckpointError, read_checkpoint
from .parts import check_weights, part_weights, state_dict_of

PREFIX = 'backbone.'
# Settings of backbones that freeze a part, and the values with which they do not.
_FREEZE = dict(frozen_stages=-1, norm_eval=False)
_OF_STUDENTS = 'textual_bank.'  # what only checkpoints of LGD have
_DEEP_STEM = ('ResNetV1c', 'ResNetV1d')


def start_from(cfg: Config, source: Optional[str] = None) -> None:
    """Set the initial weights of the backbone of a downstream config, in place.

    Args:
        cfg (Config): Any config of mmdet, mmseg or mmpretrain with a ``model.backbone``.
        source (str, optional): One of

            - a checkpoint of any training, as a file or URL: its ``backbone.*`` weights are used;
            - a file or URL of a bare backbone;
            - a name that mmengine knows, such as ``'torchvision://resnet18'``;
            - ``'none'``: a random start;
            - None (default): the start in the config; ``init_cfg.checkpoint=None`` there means a random start, and a
              checkpoint of LGD has to fit.

    Raises:
        ValueError: The config has no ``model.backbone``.
        FileNotFoundError: There is no such file.
        ConnectionError: The weights cannot be downloaded.
        CheckpointError: The file is cut off, has no backbone, or does not fit the config's.
        ConfigError: The config loads weights of the whole model, which would replace this start.

    Examples:
        >>> student = dict(type='Pretrained', checkpoint='epoch_90.pth', prefix='backbone.')
        >>> backbone = dict(type='mmpretrain.ResNet', depth=18, init_cfg=student)
        >>> cfg = Config(dict(model=dict(backbone=backbone)))
        >>> start_from(cfg, 'none')
        >>> cfg.model.backbone
        {'type': 'mmpretrain.ResNet', 'depth': 18}
    """
    backbone = cfg.get('model', {}).get('backbone')
    if source is None:
        init_cfg = (backbone or {}).get('init_cfg')
        if _is_pretrained(init_cfg) and init_cfg.get('checkpoint') is None:
            backbone.pop('init_cfg')
        _check_written(cfg)
        return
    if not isinstance(backbone, dict):
        inner = (cfg.get('model', {}).get('detector') or {}).get('backbone')
        cure = (
            f'Leave --student out, and write the start into the config: model=dict(detector=dict(backbone=dict('
            f'init_cfg={_written(source)}))).'
            if isinstance(inner, dict)
            else 'Give a config with model.backbone.'
        )
        raise ConfigError(
            f'The config has no model.backbone that could start from {source!r}; its model has '
            f'{sorted(cfg.get("model", {}))}. {cure}'
        )
    _refuse_other_weights(cfg, source)
    drop_start(cfg)
    if source == 'none':
        if told := kept_random(cfg):
            print_log(told, 'current', logging.WARNING)
        return
    state = read_start(source)
    module = _built(cfg, 'model.backbone', backbone)
    init_cfg = dict(type='Pretrained', checkpoint=source)
    if not module.state_dict().keys() & state.keys():  # the file is not a bare backbone
        init_cfg['prefix'] = PREFIX
    check_start(module, state, init_cfg.get('prefix'), source)
    backbone.init_cfg = init_cfg


def drop_start(cfg: Config) -> None:
    """Take the start of the backbone out of a downstream config, in place.

    Args:
        cfg (Config): Of any library; one without a backbone stays as it is.
    """
    cfg.model.pop('pretrained', None)  # the older form of init_cfg; a backbone accepts only one of the two
    if isinstance(backbone := cfg.model.get('backbone'), dict):
        backbone.pop('pretrained', None)
        backbone.pop('init_cfg', None)


def kept_random(cfg: Config) -> str:
    """Say what a random start would keep as it is: parts that the config freezes, since it expects trained weights.

    Args:
        cfg (Config): Of a downstream training.

    Returns:
        str: A sentence; empty if the config freezes nothing.

    Examples:
        >>> kept_random(Config(dict(model=dict(backbone=dict(type='mmpretrain.ResNet', frozen_stages=1)))))[:43]
        'A random start with frozen_stages=1 trains '
    """
    backbone = cfg.model.get('backbone') or {}
    kind = find_class(str(backbone.get('type')), cfg.get('default_scope'), root.MODELS)
    defaults = inspect.signature(kind).parameters if kind else {}
    settings = {key: backbone.get(key, getattr(defaults.get(key), 'default', None)) for key in _FREEZE}
    frozen = [f'{key}={value}' for key, value in settings.items() if value not in (None, False, -1)]
    if not frozen:
        return ''
    return (
        f'A random start with {", ".join(frozen)} trains worse than it could: stages that are frozen stay random, and '
        f'norms in eval mode never see the statistics of an image. For a fair comparison add `--cfg-options '
        f'{" ".join(f"model.backbone.{key}={value}" for key, value in _FREEZE.items())}`.'
    )


def read_start(source: str) -> dict[str, Tensor]:
    """Read the tensors that ``init_cfg=dict(type='Pretrained', checkpoint=source)`` would load.

    Args:
        source (str): A file, a URL, or a name that mmengine knows.

    Returns:
        Dict[str, Tensor]: A state dict.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The weights cannot be downloaded.
        CheckpointError: The file is cut off or not a checkpoint, or the name is unknown.
    """
    if '://' not in source or source.startswith(('http://', 'https://')):
        return state_dict_of(read_checkpoint(source))
    try:
        return state_dict_of(CheckpointLoader.load_checkpoint(source, map_location='cpu'))
    except URLError as error:
        raise DownloadError(
            f'Cannot download {source}: {sentence(error.reason)} On a machine without a network, copy the '
            f'file here and give its path.'
        ) from error
    except KeyError as error:
        raise CheckpointError(
            f'mmengine knows no weights named {source!r} (no {error}). Give a name as torchvision://resnet18 or '
            f'mmcls://mobilenet_v2, or a file or URL.'
        ) from error


def check_start(
    module: nn.Module, state: dict[str, Tensor], prefix: Optional[str], source: str, place: str = ''
) -> None:
    """Refuse weights that do not fit a module exactly; mmengine's loader only warns and leaves the rest random.

    Args:
        module (nn.Module): The backbone.
        state (Dict[str, Tensor]): Of :func:`read_start`.
        prefix (str, optional): The prefix of the backbone's keys; None if all keys are the backbone's.
        source (str): Where the weights come from, for the error.
        place (str): Of the part whose ``init_cfg`` has them. Defaults to '': --student gives them to model.backbone.

    Raises:
        CheckpointError: There is nothing under the prefix, or a key is missing, unexpected or of another shape.
        ConfigError: They fit a module that would compute other features from them.
    """
    own = module.state_dict()
    if prefix:
        weights = part_weights(state, prefix, source)
    elif any(key.startswith(PREFIX) for key in state) and not own.keys() & state.keys():
        raise CheckpointError(
            f'{source} has its backbone under {PREFIX}*, and the config gives no prefix: nothing would be loaded. Add '
            f'prefix={PREFIX!r} to init_cfg, or use mmlgd train --student.'
        )
    else:
        # torchvision's classifiers have a last layer as well; old ones lack num_batches_tracked.
        weights = {key: value for key, value in own.items() if key.endswith('num_batches_tracked')}
        weights.update((key, value) for key, value in state.items() if key in own or not key.startswith('fc.'))
    check_weights(module, weights, source, _cure(module, weights, source, place))
    _refuse_other_style(module, source, place or 'model.backbone')


def _check_written(cfg: Config) -> None:
    """Refuse a student that a config names as the start of a part, and of which this part would lose weights.

    The part may have more keys than the student, such as those of deformable convolutions, or fewer stages, as those of
    C4 detectors. Weights of other origin may be meant for a part of a backbone: the stock configs have such.
    """
    for place, settings in _started_parts('model', cfg.get('model')):
        for init_cfg in filter(_is_pretrained, listed(settings['init_cfg'])):
            source, prefix = init_cfg.get('checkpoint'), init_cfg.get('prefix')
            if not (isinstance(source, str) and Path(source).is_file()):
                continue
            state = read_start(source)
            if not any(key.startswith(_OF_STUDENTS) for key in state):
                continue
            if not prefix and isinstance(settings.get('backbone'), dict):  # the start of a whole model
                place, settings, prefix = f'{place}.backbone', settings['backbone'], PREFIX
            module = _built(cfg, place, settings)
            if prefix:
                state = _for_part(module, state, prefix, source, place)
            check_start(module, state, prefix, source, place)


def _for_part(module: nn.Module, state: dict[str, Tensor], prefix: str, source: str, place: str) -> dict[str, Tensor]:
    """Give a part its own weights where a student has none, or leave out the student's stages that the part has not."""
    there, own, prefix = part_weights(state, prefix, source), module.state_dict(), f'{prefix.rstrip(".")}.'
    what = f'the {type(module).__name__} at {place}'
    stages = {key.split('.')[0] for key in own}
    if rest := {key: value for key, value in own.items() if key not in there}:
        told = (
            f'{source} has no weights for {len(rest)} of {len(own)} keys of {what}, such as {next(iter(rest))}: these '
            f'start as they would without it.'
        )
    elif cut := [key for key in there if key.split('.')[0] not in stages]:
        told = f'{source} has {len(cut)} weights of stages that {what} has not, such as {cut[0]}: these are not loaded.'
        state = {key: value for key, value in state.items() if key.removeprefix(prefix) not in cut}
    else:
        return state
    print_log(told, 'current', logging.WARNING)
    return {**state, **{f'{prefix}{key}': value for key, value in rest.items()}}


def _written(source: str) -> str:
    """Write the ``init_cfg`` of a backbone that starts from a source."""
    if source == 'none':
        return 'None'
    prefix = f', prefix={PREFIX!r}' if any(key.startswith(PREFIX) for key in read_start(source)) else ''
    return f"dict(type='Pretrained', checkpoint={source!r}{prefix})"


def _started_parts(place: str, settings: Any) -> Iterator[tuple[str, dict]]:
    if isinstance(settings, dict):
        if 'type' in settings and settings.get('init_cfg'):
            yield place, settings
        for key, value in settings.items():
            yield from _started_parts(f'{place}.{key}', value)
    elif isinstance(settings, (list, tuple)):
        for k, value in enumerate(settings):
            yield from _started_parts(f'{place}.{k}', value)


def _built(cfg: Config, place: str, settings: dict) -> nn.Module:
    return build_part({'_scope_': cfg.get('default_scope', 'mmengine'), **copy.deepcopy(settings)}, place)


def _cure(module: nn.Module, weights: dict[str, Tensor], source: str, place: str) -> str:
    """Say how a usual student gets into a class of another library that has its name, or nearly."""
    library, kind = type(module).__module__.split('.')[0], type(module).__name__
    if kind == 'MobileNetV2' and library in ('mmdet', 'mmseg') and 'layer1.0.conv.0.conv.weight' in weights:
        return (
            f'The MobileNetV2 of {library} has other layers than that of mmpretrain: `mmlgd export {source} '
            f'student.pth --to {library}` writes a file for it.'
        )
    if kind in _DEEP_STEM and 'conv1.weight' in weights:
        return f'{kind} has a deeper stem than a ResNet: --cfg-options {place or "model.backbone"}.type=ResNet.'
    own = module.state_dict().keys()
    if not place and (weights.keys() < own or weights.keys() > own):
        return (
            f'Give the backbone the depth and type that the student was trained with. If it is meant to have more '
            f'layers, such as deformable convolutions, or fewer stages, write the start into the config in place of '
            f'--student: model.backbone.init_cfg={_written(source)}.'
        )
    return ''


def _refuse_other_style(module: nn.Module, source: str, place: str) -> None:
    """Refuse blocks that halve an image in another layer: of the same weights they make other features."""
    own = getattr(module, 'style', None)
    if own is None or not any(hasattr(block, 'conv1_stride') for block in module.modules()):  # where style counts
        return
    config = config_in(source)
    if config is None and not source.startswith('torchvision://'):
        return
    trained = ((config or {}).get('model', {}).get('backbone') or {}).get('style', 'pytorch')
    if trained != own:
        raise ConfigError(
            f'{source} was trained with style={trained!r}, and this {type(module).__name__} has style={own!r}: its '
            f'blocks have their stride in another layer, and make other features of the same weights. Set '
            f'style={trained!r} (--cfg-options {place}.style={trained}), and the data_preprocessor of its training.'
        )


def check_pretrained(model: nn.Module, name: str = 'model') -> None:
    """Compare every ``init_cfg=dict(type='Pretrained', ...)`` in a model with its file.

    mmengine loads what fits and only logs the rest: with a wrong prefix, a backbone would stay random.

    Args:
        model (nn.Module): Built, before its weights are initialised.
        name (str): Its place in the config, for errors. Defaults to ``'model'``.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The weights cannot be downloaded.
        CheckpointError: The file is truncated or does not fit; the message says where and how to fix it.
        ConfigError: ``checkpoint=None``.
    """
    for path, module in model.named_modules(prefix=name):
        for init_cfg in listed(getattr(module, 'init_cfg', None) or []):
            if not _is_pretrained(init_cfg):
                continue
            source = init_cfg.get('checkpoint')
            if source is None:
                raise ConfigError(
                    f'{path}.init_cfg has checkpoint=None, which mmengine cannot load. For a random start, use mmlgd '
                    f'train --student none.'
                )
            check_start(module, read_start(source), init_cfg.get('prefix'), source, path)


def _refuse_other_weights(cfg: Config, source: str) -> None:
    """Refuse weights of the whole model, which mmengine would load after, or in place of, the start of the backbone."""
    others = {
        'load_from': None if cfg.get('resume') else cfg.get('load_from'),
        'model.init_cfg': [one for one in listed(cfg.model.get('init_cfg') or []) if _is_pretrained(one)],
    }
    for key, value in others.items():
        if value:
            raise ConfigError(
                f'--student {source} is the start of model.backbone, and the config has {key}={brief(value)}, whose '
                f'weights would replace it. Leave one of them out: no --student, or --cfg-options {key}=None.'
            )


def _is_pretrained(init_cfg: Any) -> bool:
    return isinstance(init_cfg, dict) and init_cfg.get('type') in ('Pretrained', PretrainedInit)
