"""A checkpoint as a source of parts: read once, and each part built and checked in one way."""

import contextlib
import copy
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from torch import nn

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.checkpoints.parts import check_weights, part_weights, state_dict_of
from mmlgd.errors import ConfigError
from mmlgd.models.banks import read_text_state
from mmlgd.models.necks import fit_neck
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.utils.building import build_part

from .sized_build import no_larger_than

# Of settings that have none, as in our configs and in mmpretrain's.
_TYPES = dict(neck='mmlgd.ProjectionNeck', data_preprocessor='mmpretrain.ClsDataPreprocessor')


class SavedStudent:
    """What a checkpoint holds of a student.

    Args:
        content (dict): Of :func:`~mmlgd.checkpoints.read_checkpoint`.
        source (str | Path): Where it is from, for errors.

    Attributes:
        state (Dict[str, Tensor]): All its tensors, by name.
        config (ConfigDict): Settings of its training, with ``model``.

    Raises:
        CheckpointError: It holds no tensors by name, or no config, or one that is more than plain settings.
    """

    def __init__(self, content: dict, source: Union[str, Path]):
        self.source = source
        self.state = state_dict_of(content)
        self.config = model_config(content, source)

    @classmethod
    def read(cls, checkpoint: Union[str, Path]) -> 'SavedStudent':
        """Read a file or URL.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: It is cut off, or would run code; and as above.
        """
        return cls(read_checkpoint(checkpoint), checkpoint)

    def has(self, part: str) -> bool:
        """Tell whether there are tensors of a part."""
        return any(key.startswith(f'{part}.') for key in self.state)

    def build(self, part: str, below: Optional[nn.Module] = None, **settings: Any) -> nn.Module:
        """Build a part with its weights.

        Args:
            part (str): ``'backbone'`` or ``'neck'``.
            below (nn.Module, optional): The backbone that a neck stands on, which says how many channels there are.
                Defaults to None: the settings say it.
            **settings: Changes to its settings.

        Returns:
            nn.Module: In eval mode, on the CPU.

        Raises:
            CheckpointError: There is no such part, it would run code, or the weights do not fit.
            ConfigError: It cannot be built.
        """
        own = backbone_of(self.config, self.source) if part == 'backbone' else self.config['model'].get(part)
        settings = {**self._settings(own or {}, part), **settings}
        if settings.get('pretrained'):
            settings['pretrained'] = False  # timm would download what the checkpoint replaces
        weights = part_weights(self.state, part, self.source)
        if below is not None:
            settings = fit_neck(settings, below, backbone_of(self.config, self.source), settings.get('out_channels'))
        with self._guarded(weights):
            module = build_part(settings, f'model.{part}', _TYPES.get(part))
        check_weights(module, weights, self.source)
        module.load_state_dict(weights, strict=False)  # all are there; some modules have a table of their own
        module.eval()  # not returned: mmpretrain's backbones return None from it
        return module

    def preprocessor(self) -> nn.Module:
        """Build the data preprocessor: the image statistics of its training, or ImageNet's, RGB.

        Raises:
            CheckpointError: It would run code.
            ConfigError: It cannot be built.
        """
        settings = self.config['model'].get('data_preprocessor') or self.config.get('data_preprocessor')
        settings = self._settings(settings or IMAGENET_RGB, 'data_preprocessor')
        settings.pop('augmentation', None)  # for training alone, and its library need not be here
        with self._guarded({}):
            return build_part(settings, 'model.data_preprocessor', _TYPES['data_preprocessor'])

    def temperature(self) -> float:
        """Read τ_S, the student's temperature in its training.

        Raises:
            ConfigError: It is no number above 0.
        """
        settings = self._settings(self.config['model'].get('loss') or {}, 'loss')
        return build_part(settings, 'model.loss', 'mmlgd.LGDLoss').student_temperature

    def text(self) -> Optional[dict]:
        """Read the names: ``class_names``, ``templates``, ``teacher_id`` and the ``bank`` (K, D); None without a bank.

        Raises:
            CheckpointError: They are damaged.
        """
        return read_text_state(self.state, self.source) if self.has('textual_bank') else None

    def _settings(self, own: Any, part: str) -> dict:
        if not isinstance(own, dict):
            raise CheckpointError(f'The config in {self.source} has a {type(own).__name__} as its {part}.')
        # What is looked through is what will be built: a bare type is one of the scope of its training.
        scoped = {'_scope_': self.config.get('default_scope', 'mmpretrain'), **own}
        return buildable(scoped, part, self.source)

    @contextlib.contextmanager
    def _guarded(self, weights: dict):
        with plain_files(), no_larger_than(weights, self.source):
            yield


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
