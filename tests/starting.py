"""Downstream configs and checkpoints that start them, for the tests of starts."""

import torch
from mmengine.config import Config

from mmlgd.registry import MODELS

SMALL = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)  # as in lgd_checkpoint


def downstream(**backbone):
    """A config of a classifier with this backbone."""
    return Config(dict(model=dict(type='ImageClassifier', backbone={**SMALL, **backbone})))


def saved(backbone, folder):
    """A checkpoint of a training with this backbone, with the config in it."""
    model = MODELS.build(dict(backbone))
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=f'model = dict(backbone={backbone!r})\n')), folder / 'epoch_1.pth')
    return str(folder / 'epoch_1.pth')
