"""A saved student: its checkpoint is read once, and each part is built and checked in the same way."""

import contextlib
import copy
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.config import Config
from torch import nn

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.checkpoints.parts import check_weights, part_weights, state_dict_of
from mmlgd.datasets.variables import choose_arch
from mmlgd.errors import ConfigError
from mmlgd.models.banks import read_text_state
from mmlgd.models.necks import features_of_zeros, fit_neck, pooled, size_of
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.seeds import seeded
from mmlgd.utils.validation import require

from .pixels import Pixels, pixels_of
from .sized_build import no_larger_than

# Defaults for configs without a value, as in our configs and in mmpretrain's.
_TYPES = dict(
    neck='mmlgd.ProjectionNeck', places='mmlgd.StudentPlaces', data_preprocessor='mmpretrain.ClsDataPreprocessor'
)


class SavedStudent:
    """The content of a student's checkpoint.

    Args:
        content (dict): From :func:`~mmlgd.checkpoints.read_checkpoint`.
        source (str | Path): Source of the checkpoint, for error messages.

    Attributes:
        state (Dict[str, Tensor]): All its tensors, by name.
        config (ConfigDict): Config of its training, with ``model``.
        classes (List[str] | None): Classes of the data that it was trained with, as mmengine keeps them.

    Raises:
        CheckpointError: It holds no state dict or no config, or the config is more than plain settings.
    """

    def __init__(self, content: dict, source: Union[str, Path]):
        self.source = source
        self.state = state_dict_of(content)
        self.config = model_config(content, source)
        self.classes = _classes_in(content['meta'])

    @classmethod
    def read(cls, checkpoint: Union[str, Path]) -> 'SavedStudent':
        """Read a file or URL.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: It is truncated, or would run code; and as above.
        """
        return cls(read_checkpoint(checkpoint), checkpoint)

    def has(self, part: str) -> bool:
        """Check whether there are tensors of a part."""
        return any(key.startswith(f'{part}.') for key in self.state)

    def build(self, part: str, below: Optional[nn.Module] = None, **chosen: Any) -> nn.Module:
        """Build a part with its weights.

        Args:
            part (str): ``'backbone'``, ``'neck'`` or ``'places'``.
            below (nn.Module, optional): The backbone before a neck or places, which defines their channels. Defaults to
                None: the config defines them.
            **chosen: Changes to its config.

        Returns:
            nn.Module: The part in eval mode, on the CPU.

        Raises:
            CheckpointError: The part is missing, would run code, or its weights do not fit.
            ConfigError: It cannot be built.
        """
        own = backbone_of(self.config, self.source) if part == 'backbone' else self.config['model'].get(part)
        settings = {**self._settings(own or {}, part), **chosen}
        if settings.get('pretrained'):
            settings['pretrained'] = False  # timm would download what the checkpoint replaces
        weights = part_weights(self.state, part, self.source)
        if part == 'places' and below is not None:
            feats = features_of_zeros(below, size_of(below, backbone_of(self.config, self.source)))
            settings['channels'] = [x.shape[2 if x.ndim == 3 else 1] for x in feats]
        elif below is not None:
            settings = fit_neck(settings, below, backbone_of(self.config, self.source), settings.get('out_channels'))
        with self._guarded(weights):
            module = build_part(settings, f'model.{part}', _TYPES.get(part))
        check_weights(module, weights, self.source)
        module.load_state_dict(weights, strict=False)  # all keys are present; some modules have extra tables
        module.eval()  # on its own line: eval() of mmpretrain's backbones returns None
        if part == 'backbone' and 'out_indices' in chosen:
            check_stages(module, settings)
        return module

    def ends_alike(self, backbone: nn.Module, size: tuple[int, int]) -> bool:
        """Check whether a backbone of other ``out_indices`` ends with the feature of training, by one pass of both.

        Args:
            backbone (nn.Module): From :meth:`build`.
            size (Tuple[int, int]): Height and width of an image.

        Returns:
            bool: Whether the neck can read its output.
        """
        image = torch.linspace(-2, 2, 3 * size[0] * size[1]).view(1, 3, *size)
        with torch.no_grad():
            chosen, trained = (pooled(one(image)) for one in (backbone, self.build('backbone')))
        return chosen.shape == trained.shape and torch.allclose(chosen, trained, equal_nan=True)

    def head(self) -> Optional[nn.Linear]:
        """Build the linear head of a classifier that reads the averaged last feature; None without such a head.

        Raises:
            CheckpointError: Its weights do not fit.
        """
        parts = (self.config['model'].get(part) for part in ('neck', 'head'))
        kinds = [kind_of(part) if isinstance(part, dict) else '' for part in parts]
        if kinds != ['GlobalAveragePooling', 'LinearClsHead'] or not self.has('head.fc'):
            return None
        weights = part_weights(self.state, 'head.fc', self.source)
        shape = tuple(getattr(weights.get('weight'), 'shape', ()))
        if len(shape) != 2:
            raise CheckpointError(f'{self.source} has a head.fc.weight of shape {shape}, expected (classes, channels).')
        with self._guarded(weights):
            layer = nn.Linear(shape[1], shape[0])
        check_weights(layer, weights, self.source)
        layer.load_state_dict(weights)
        return layer.requires_grad_(False)

    def preprocessor(self) -> nn.Module:
        """Build the data preprocessor with the image statistics of its training, or ImageNet's, RGB.

        Raises:
            CheckpointError: It would run code.
            ConfigError: It cannot be built.
        """
        settings = self._settings(self._preprocessing(), 'data_preprocessor')
        settings.pop('augmentation', None)  # only for training; its library may be missing here
        with self._guarded({}):
            return build_part(settings, 'model.data_preprocessor', _TYPES['data_preprocessor'])

    def pixels(self) -> Pixels:
        """Read how :meth:`preprocessor` turns pixels into the backbone's input.

        Raises:
            CheckpointError: The statistics are not one number for each channel.
        """
        return pixels_of(self._preprocessing(), self.source)

    def temperature(self, of: str = 'student', names_scale: float = 1.0) -> float:
        """Read a temperature over names in its training.

        Args:
            of (str): ``'student'`` for τ_S, ``'teacher'`` for τ_T. Defaults to ``'student'``.
            names_scale (float): Of the teacher, which τ_T follows. Defaults to 1.0.

        Raises:
            ConfigError: It is not a number above 0.
        """
        loss = loss_of(self.config, self.source)
        loss.scale_names(names_scale)
        return getattr(loss, f'{of}_temperature')

    def text(self) -> Optional[dict]:
        """Read the names: ``class_names``, ``templates``, ``teacher_id`` and the ``bank`` (K, D); None without a bank.

        Raises:
            CheckpointError: They are damaged.
        """
        return read_text_state(self.state, self.source) if self.has('textual_bank') else None

    def _preprocessing(self) -> dict:
        # A classifier of mmpretrain has them beside its model.
        own = self.config['model'].get('data_preprocessor') or self.config.get('data_preprocessor')
        return own or IMAGENET_RGB

    def _settings(self, own: Any, part: str) -> dict:
        return _settings(self.config, own, part, self.source)

    @contextlib.contextmanager
    def _guarded(self, weights: dict):
        # What is drawn is replaced by the weights, so the caller's random numbers stay as they are.
        with plain_files(), seeded(0), no_larger_than(weights, self.source):
            yield


def _classes_in(meta: dict) -> Optional[list[str]]:
    of_data = meta.get('dataset_meta')
    classes = of_data.get('classes') if isinstance(of_data, dict) else None
    are_names = isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes)
    return list(classes) if are_names else None


def loss_of(config: dict, source: Union[str, Path]) -> nn.Module:
    """Build the loss of a training, whose terms say what was compared.

    Args:
        config (dict): Settings of the training, from :func:`~mmlgd.checkpoints.model_config`.
        source (str | Path): Where they are from, for error messages.

    Returns:
        nn.Module: A :class:`~mmlgd.DistillationLoss`.

    Raises:
        CheckpointError: It would run code.
        ConfigError: It cannot be built.
    """
    settings = _settings(config, config['model'].get('loss') or {}, 'loss', source)
    return build_part(settings, 'model.loss', 'mmlgd.LGDLoss')


def _settings(config: dict, own: Any, part: str, source: Union[str, Path]) -> dict:
    if not isinstance(own, dict):
        raise CheckpointError(f'The config in {source} has a {type(own).__name__} as its {part}.')
    # Check exactly what will be built: a type without a scope gets the scope of its training.
    return buildable({'_scope_': config.get('default_scope', 'mmpretrain'), **own}, part, source)


def check_stages(backbone: nn.Module, settings: dict) -> None:
    """Refuse a backbone that does not return each of its ``out_indices``; some ignore negative ones.

    Args:
        backbone (nn.Module): In eval mode.
        settings (dict): Its config, with ``out_indices``.

    Raises:
        ConfigError: It returns another number of features.
    """
    stages = settings['out_indices']
    chosen = stages if isinstance(stages, (list, tuple)) else [stages]
    if all(isinstance(stage, int) and stage >= 0 for stage in chosen):
        return  # a backbone refuses those that it does not have
    count = len(chosen)
    found = len(features_of_zeros(backbone, size_of(backbone, settings)))
    require(
        found == count,
        f'out_indices={stages} names {count} stages, but a {type(backbone).__name__} returns {found} features for it. '
        f'Count the stages from 0.',
    )


def backbone_of(config: Config, source: Union[str, Path, Config]) -> dict:
    """Find the backbone's settings, as a copy.

    Args:
        config (Config): A config with a ``model``.
        source (str | Path | Config): Source of the config, for the error message.

    Returns:
        dict: A copy, which may be changed.

    Raises:
        ConfigError: The config has no backbone.
    """
    if isinstance(config, Config) and 'archs' in config:
        config = copy.deepcopy(config)
        choose_arch(config)
    backbone = (config.get('model') or {}).get('backbone')
    if not isinstance(backbone, dict):
        source = 'The config' if isinstance(source, Config) else source
        raise ConfigError(f'{source} has no model.backbone, which a student needs. Give a config of LGD training.')
    return copy.deepcopy(dict(backbone))
