"""The student that is converted: all that the converters read of a checkpoint goes through here."""

from functools import cached_property
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from torch import Tensor, nn

from mmlgd.checkpoints import check_weights, model_config, part_weights, read_checkpoint, state_dict_of
from mmlgd.checkpoints.configs import buildable
from mmlgd.models import ZeroShotClassifier
from mmlgd.models.banks import read_text_state
from mmlgd.student import get_student, get_zero_shot_classifier
from mmlgd.student.image_size import image_size
from mmlgd.utils.building import build_part


class SourceStudent:
    """A checkpoint of training, or a published one, read once; its parts are built and checked when asked for.

    Args:
        checkpoint (str | Path): A file or URL.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It is cut off, or no checkpoint.
    """

    def __init__(self, checkpoint: Union[str, Path]):
        self.checkpoint = str(checkpoint)
        self.content = read_checkpoint(checkpoint)
        self.state = state_dict_of(self.content)

    @cached_property
    def config(self) -> Config:
        """Settings of the training."""
        return model_config(self.content, self.checkpoint)

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the student's images."""
        return image_size(self.config)

    @cached_property
    def text(self) -> dict[str, Any]:
        """Class names, templates, teacher and bank; empty where the checkpoint has no textual bank."""
        has_bank = any(key.startswith('textual_bank.') for key in self.state)
        return read_text_state(self.state, self.checkpoint) if has_bank else {}

    @cached_property
    def backbone_settings(self) -> dict:
        """Config of the backbone, its ``type`` with a scope."""
        settings = dict(self.config.model.backbone)
        if '.' not in settings['type']:
            settings['type'] = f'{self.config.get("default_scope", "mmpretrain")}.{settings["type"]}'
        return settings

    @cached_property
    def backbone_weights(self) -> dict[str, Tensor]:
        """Tensors of the backbone, by its own names."""
        return part_weights(self.state, 'backbone', self.checkpoint)

    def backbone(self, **options) -> nn.Module:
        """Build the backbone; ``options`` change its settings, as ``out_indices``."""
        return get_student(self.checkpoint, **options)

    def embedder(self) -> nn.Module:
        """Build backbone and neck: (N, 3, H, W) to unit rows (N, D)."""
        backbone = self.backbone()
        weights = part_weights(self.state, 'neck', self.checkpoint)
        joint = {'out_channels': self.text['bank'].shape[1]} if self.text else {}
        settings = buildable(self.config.model.get('neck') or {}, 'neck', self.checkpoint)
        neck = build_part({**joint, **settings}, 'model.neck', 'mmlgd.ProjectionNeck')
        check_weights(neck, weights, self.checkpoint)
        neck.load_state_dict(weights)
        return nn.Sequential(backbone, neck).eval()

    def classifier(
        self,
        names: Union[str, list, None] = None,
        templates: Union[str, list, None] = None,
        teacher_options: Optional[dict] = None,
    ) -> ZeroShotClassifier:
        """Build the zero-shot classifier: (N, 3, H, W) to scores (N, K)."""
        return get_zero_shot_classifier(self.checkpoint, names, templates, teacher_options)
