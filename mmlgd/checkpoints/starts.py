"""Initial weights of a detector, segmentor or classifier: every key is checked before the first step."""

import copy
from typing import Optional
from urllib.error import URLError

from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmlgd.errors import ConfigError, DownloadError, sentence
from mmlgd.registry import MODELS

from .files import CheckpointError, read_checkpoint
from .parts import check_weights, part_weights, state_dict_of

PREFIX = 'backbone.'


def start_from(cfg: Config, source: Optional[str] = None) -> None:
    """Set the initial weights of the backbone of a downstream config, in place.

    Args:
        cfg (Config): Any config of mmdet, mmseg or mmpretrain with a ``model.backbone``.
        source (str, optional): One of

            - a checkpoint of any training, as a file or URL: its ``backbone.*`` weights are used;
            - a file or URL of a bare backbone;
            - a name that mmengine knows, such as ``'torchvision://resnet18'``;
            - ``'none'``: a random start;
            - None (default): the start in the config; ``init_cfg.checkpoint=None`` there means a random start.

    Raises:
        ValueError: The config has no ``model.backbone``.
        FileNotFoundError: There is no such file.
        ConnectionError: The weights cannot be downloaded.
        CheckpointError: The file is cut off, has no backbone, or does not fit the config's.

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
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained' and init_cfg.get('checkpoint') is None:
            backbone.pop('init_cfg')
        return
    if not isinstance(backbone, dict):
        raise ConfigError(
            f'The config has no model.backbone that could start from {source!r}; its model has '
            f'{sorted(cfg.get("model", {}))}. Give a config with model.backbone.'
        )
    cfg.model.pop('pretrained', None)  # the older form of init_cfg; a backbone accepts only one of the two
    backbone.pop('pretrained', None)
    backbone.pop('init_cfg', None)
    if source == 'none':
        return
    state = read_start(source)
    module = MODELS.build({'_scope_': cfg.get('default_scope', 'mmengine'), **copy.deepcopy(backbone)})
    init_cfg = dict(type='Pretrained', checkpoint=source)
    if not module.state_dict().keys() & state.keys():  # the file is not a bare backbone
        init_cfg['prefix'] = PREFIX
    check_start(module, state, init_cfg.get('prefix'), source)
    backbone.init_cfg = init_cfg


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


def check_start(module: nn.Module, state: dict[str, Tensor], prefix: Optional[str], source: str) -> None:
    """Refuse weights that do not fit a module exactly; mmengine's loader only warns and leaves the rest random.

    Args:
        module (nn.Module): The backbone.
        state (Dict[str, Tensor]): Of :func:`read_start`.
        prefix (str, optional): The prefix of the backbone's keys; None if all keys are the backbone's.
        source (str): Where the weights come from, for the error.

    Raises:
        CheckpointError: There is nothing under the prefix, or a key is missing, unexpected or of another shape.
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
    check_weights(module, weights, source)
