"""What users call: a trained student as a plain module, and zero-shot predictions."""

from .checkpoints import CheckpointError, check_weights, model_config, part_weights, read_checkpoint, state_dict_of
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
