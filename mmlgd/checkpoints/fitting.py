"""Do weights fit a module? Every key is compared; mmengine's loader only warns and leaves the rest random."""

import copy
from typing import Any, Optional

from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import listed

from .configs import config_in
from .files import CheckpointError, read_checkpoint
from .loaders import loading_safely
from .parts import check_weights, part_weights, state_dict_of

PREFIX = 'backbone.'
_DEEP_STEM = ('ResNetV1c', 'ResNetV1d')


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
        with loading_safely():  # of a caller in Python, too
            return state_dict_of(CheckpointLoader.load_checkpoint(source, map_location='cpu'))
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
            f'prefix={PREFIX!r} to init_cfg, which takes the place of pretrained=..., or use mmlgd train --student.'
        )
    else:
        # torchvision's classifiers have a last layer as well; old ones lack num_batches_tracked.
        weights = {key: value for key, value in own.items() if key.endswith('num_batches_tracked')}
        weights.update((key, value) for key, value in state.items() if key in own or not key.startswith('fc.'))
    check_weights(module, weights, source, _cure(module, weights, source, place))
    _refuse_other_style(module, source, place or 'model.backbone')


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
            if not is_pretrained(init_cfg):
                continue
            source = init_cfg.get('checkpoint')
            if source is None:
                raise ConfigError(
                    f'{path}.init_cfg has checkpoint=None, which mmengine cannot load. For a random start, use mmlgd '
                    f'train --student none.'
                )
            check_start(module, read_start(source), init_cfg.get('prefix'), source, path)


def is_pretrained(init_cfg: Any) -> bool:
    """Return whether an ``init_cfg`` loads weights.

    Args:
        init_cfg (Any): One entry of it, from anybody's config.
    """
    return isinstance(init_cfg, dict) and kind_of(init_cfg) in ('Pretrained', PretrainedInit.__name__)


def built_part(cfg: Config, place: str, settings: dict) -> nn.Module:
    """Build a part of a model in the scope of its config.

    Args:
        cfg (Config): The config.
        place (str): Of the part in it, for errors.
        settings (dict): Of the part; not changed.

    Returns:
        nn.Module: The part, before its weights are loaded.

    Raises:
        ConfigError: It cannot be built from these settings.
    """
    return build_part({'_scope_': cfg.get('default_scope', 'mmengine'), **copy.deepcopy(settings)}, place)


def written_start(source: str) -> str:
    """Write the ``init_cfg`` of a backbone that starts from a source, for advice.

    Args:
        source (str): As for :func:`read_start`, or ``'none'``.

    Returns:
        str: Python.
    """
    if source == 'none':
        return 'None'
    prefix = f', prefix={PREFIX!r}' if any(key.startswith(PREFIX) for key in read_start(source)) else ''
    return f"dict(type='Pretrained', checkpoint={source!r}{prefix})"


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
            f'--student: model.backbone.init_cfg={written_start(source)}.'
        )
    return ''


def _refuse_other_style(module: nn.Module, source: str, place: str) -> None:
    """Refuse blocks that halve an image in another layer: of the same weights they make other features."""
    own = getattr(module, 'style', None)
    if own is None or not any(hasattr(block, 'conv1_stride') for block in module.modules()):  # where style counts
        return
    config = config_in(source)
    # None where nobody knows: a bare file, or a backbone at another place of its model.
    trained_on = {} if source.startswith('torchvision://') else config and config.model.get('backbone')
    if trained_on is None:
        return
    trained = trained_on.get('style', 'pytorch')
    if trained != own:
        raise ConfigError(
            f'{source} was trained with style={trained!r}, and this {type(module).__name__} has style={own!r}: its '
            f'blocks have their stride in another layer, and make other features of the same weights. Set '
            f'style={trained!r} (--cfg-options {place}.style={trained}), and the data_preprocessor of its training.'
        )
