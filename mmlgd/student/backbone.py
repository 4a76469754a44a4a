"""The trained backbone, out of its checkpoint."""

import contextlib
import copy
from pathlib import Path
from typing import Union

from mmengine.config import Config
from mmengine.hub import get_config
from torch import nn

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.checkpoints.parts import check_weights, part_weights, state_dict_of
from mmlgd.errors import ConfigError
from mmlgd.utils.building import build_part

from .sized_build import no_larger_than


def get_student(config_or_checkpoint: Union[str, Path, Config], **options) -> nn.Module:
    """Get a student's backbone, ready to use.

    Args:
        config_or_checkpoint (str | Path | Config): A checkpoint of LGD training or of ``publish_model.py``, as a file
            or URL: the backbone comes with its weights. Or a config (a ``.py`` file, ``'mmlgd::lgd/....py'``, or a
            ``Config``): the backbone comes with the weights of its ``init_cfg`` or ``load_from``, or else initialised
            at random.
        **options: Changes to the backbone's own settings, for example ``out_indices=(0, 1, 2, 3)`` or
            ``frozen_stages=1``.

    Returns:
        nn.Module: The backbone in eval mode, on the CPU. It takes (N, 3, H, W) with the picture statistics of its
        training (by default ImageNet's, RGB) and returns a tuple of features.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The checkpoint is cut off, has no student, does not fit, or would run code.
        ConfigError: The config has no backbone, or one that cannot be built.

    Examples:
        >>> import torch
        >>> from mmengine.config import Config
        >>> import mmlgd
        >>> config = Config(dict(model=dict(backbone=dict(type='mmpretrain.ResNet', depth=18))))
        >>> student = mmlgd.get_student(config, out_indices=(2, 3))
        >>> [tuple(x.shape) for x in student(torch.rand(1, 3, 64, 64))]
        [(1, 256, 4, 4), (1, 512, 2, 2)]
    """
    source = config_or_checkpoint
    if isinstance(source, Config) or str(source).endswith('.py'):
        config = _read_config(source)
        checkpoint = config.get('load_from')
    else:
        config, checkpoint = None, source
    of_checkpoint = config is None
    if checkpoint:
        content = read_checkpoint(checkpoint)
        if config is None:
            config = model_config(content, checkpoint)
            # What is looked through is what will be built: a bare type is one of the scope of its training.
            scoped = {'_scope_': config.get('default_scope', 'mmpretrain'), **backbone_of(config, source)}
            config['model']['backbone'] = buildable(scoped, 'backbone', checkpoint)
    settings = {**backbone_of(config, source), **options}
    settings.setdefault('_scope_', config.get('default_scope', 'mmpretrain'))
    if checkpoint and settings.get('pretrained'):
        settings['pretrained'] = False  # timm would download what the checkpoint replaces
    weights = part_weights(state_dict_of(content), 'backbone', checkpoint) if checkpoint else {}
    with contextlib.ExitStack() as stack:
        if of_checkpoint:
            stack.enter_context(plain_files())
            stack.enter_context(no_larger_than(weights, checkpoint))
        student = build_part(settings, 'model.backbone')
    if checkpoint:
        check_weights(student, weights, checkpoint)
        student.load_state_dict(weights, strict=False)  # all are there; some modules have a table of their own
    else:
        student.init_weights()
    student.eval()  # not returned: mmpretrain's backbones return None from it
    return student


def backbone_of(config: Config, source: Union[str, Path, Config]) -> dict:
    """Find the backbone's settings, as a copy.

    Args:
        config (Config): With a ``model``.
        source (str | Path | Config): Where it is from, for the error.

    Returns:
        dict: To be changed at will.

    Raises:
        ConfigError: There is none.
    """
    backbone = (config.get('model') or {}).get('backbone')
    if not isinstance(backbone, dict):
        source = 'The config' if isinstance(source, Config) else source
        raise ConfigError(f'{source} has no model.backbone, of which a student is. Give a config of LGD training.')
    return copy.deepcopy(dict(backbone))


def _read_config(source: Union[str, Path, Config]) -> Config:
    if isinstance(source, Config):
        return source
    return get_config(str(source)) if '::' in str(source) else Config.fromfile(source)
