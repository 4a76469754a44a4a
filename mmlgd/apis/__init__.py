"""What users call: a trained student as a plain module, and zero-shot predictions."""

from mmlgd.checkpoint_files import CheckpointError, read_checkpoint

from .checkpoint_configs import model_config
from .checkpoints import check_weights, part_weights, state_dict_of
from .inferencer import ZeroShotInferencer
from .student import get_student
from .zero_shot import get_zero_shot_classifier

__all__ = [
    'CheckpointError',
    'ZeroShotInferencer',
    'check_weights',
    'get_student',
    'get_zero_shot_classifier',
    'model_config',
    'part_weights',
    'read_checkpoint',
    'state_dict_of',
]
