"""The backbone of a student, from a checkpoint or a config."""

from pathlib import Path
from typing import Union

from mmengine.config import Config
from torch import nn

from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.checkpoints.fitting import check_pretrained
from mmlgd.checkpoints.loaders import loading_safely
from mmlgd.checkpoints.parts import check_weights, part_weights, state_dict_of
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import read_config

from .saved import SavedStudent, backbone_of, check_stages


def get_student(config_or_checkpoint: Union[str, Path, Config], **options) -> nn.Module:
    """Get a student's backbone, ready to use.

    Args:
        config_or_checkpoint (str | Path | Config): A checkpoint of LGD training or of ``mmlgd publish``, as a file
            or URL: the backbone comes with its weights. Or a config (a ``.py`` file, ``'mmlgd::lgd/....py'``, or a
            ``Config``): the backbone gets the weights of its ``init_cfg`` or ``load_from``, or else random weights.
        **options: Changes to the backbone's own settings, for example ``out_indices=(0, 1, 2, 3)`` or
            ``frozen_stages=1``.

    Returns:
        nn.Module: The backbone in eval mode, on the CPU. It takes (N, 3, H, W) with the image statistics of its
        training (by default ImageNet's, RGB) and returns a tuple of features.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The checkpoint is truncated, has no student, does not fit, or would run code.
        ConfigError: The config has no backbone, or it cannot be built.

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
    if isinstance(source, (str, Path)) and not str(source).endswith('.py'):
        return SavedStudent.read(source).build('backbone', **options)
    config = read_config(source)
    settings = {'_scope_': config.get('default_scope', 'mmpretrain'), **backbone_of(config, source), **options}
    checkpoint = config.get('load_from')
    if checkpoint and settings.get('pretrained'):
        settings['pretrained'] = False  # timm would download what the checkpoint replaces
    weights = part_weights(state_dict_of(read_checkpoint(checkpoint)), 'backbone', checkpoint) if checkpoint else {}
    student = build_part(settings, 'model.backbone')
    if checkpoint:
        check_weights(student, weights, checkpoint)
        student.load_state_dict(weights, strict=False)  # all keys are present; some modules have extra tables
    else:
        with loading_safely():  # it reads the file of an init_cfg
            check_pretrained(student, 'model.backbone')
            student.init_weights()
    student.eval()  # on its own line: eval() of mmpretrain's backbones returns None
    if 'out_indices' in options:
        check_stages(student, settings)
    return student
