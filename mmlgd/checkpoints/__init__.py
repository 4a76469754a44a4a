"""Checkpoint files: reading them as data, their parts and configs, starting other runs from them, and resuming."""

from .configs import model_config
from .files import CheckpointError, read_checkpoint
from .loaders import safe_loading
from .parts import check_weights, part_weights, state_dict_of

__all__ = [
    'CheckpointError',
    'check_weights',
    'model_config',
    'part_weights',
    'read_checkpoint',
    'safe_loading',
    'state_dict_of',
]
