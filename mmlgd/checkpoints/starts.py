"""Initial weights of a detector, segmentor or classifier: every key is checked before the first step."""

import inspect
import logging
from typing import Optional

from mmengine import registry as root
from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.errors import ConfigError, brief
from mmlgd.registry import find_class
from mmlgd.utils.validation import listed

from .fitting import PREFIX, built_part, check_start, is_pretrained, read_start, written_start
from .written_starts import check_written

# Settings of backbones that freeze a part, and the values with which they do not.
_FREEZE = dict(frozen_stages=-1, norm_eval=False)


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
        init_cfg = backbone.get('init_cfg') if isinstance(backbone, dict) else None
        if is_pretrained(init_cfg) and init_cfg.get('checkpoint') is None:
            backbone.pop('init_cfg')
        check_written(cfg)
        return
    if not isinstance(backbone, dict):
        inner = (cfg.get('model', {}).get('detector') or {}).get('backbone')
        cure = (
            f'Leave --student out, and write the start into the config: model=dict(detector=dict(backbone=dict('
            f'init_cfg={written_start(source)}))).'
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
    module = built_part(cfg, 'model.backbone', backbone)
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
        for key in ('pretrained', 'checkpoint_path', 'init_cfg'):  # the second is timm's
            backbone.pop(key, None)


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


def _refuse_other_weights(cfg: Config, source: str) -> None:
    """Refuse weights of the whole model, which mmengine would load after, or in place of, the start of the backbone."""
    others = {
        'load_from': None if cfg.get('resume') else cfg.get('load_from'),
        'model.init_cfg': [one for one in listed(cfg.model.get('init_cfg') or []) if is_pretrained(one)],
    }
    for key, value in others.items():
        if value:
            raise ConfigError(
                f'--student {source} is the start of model.backbone, and the config has {key}={brief(value)}, whose '
                f'weights would replace it. Leave one of them out: no --student, or --cfg-options {key}=None.'
            )
