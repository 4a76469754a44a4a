"""The feature map of a model that is compared with the teacher: the output of a named module, as it passes by."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmlgd.errors import ConfigError, sentence
from mmlgd.models.necks import pooled, refuse_channels_last, size_of
from mmlgd.models.places import knows_tokens
from mmlgd.utils.validation import require


class Feature:
    """One output of a named module. It is seen in the model's own pass: nothing runs twice.

    Args:
        model (nn.Module): The model that is trained.
        name (str): Name of the module, as in ``model.named_modules()``: ``'backbone'``, ``'neck'``.
        level (int): Which of its outputs; -1 is the last.

    Attributes:
        module (nn.Module): The module.
        backbone (nn.Module): What knows how many tokens are no places: the module, or that around it of which it is a
            layer.
        width (int): Channels of the feature, once :meth:`of_zeros` has seen it.

    Raises:
        ConfigError: The model has no such module, or its features have their channels last.
    """

    def __init__(self, model: nn.Module, name: str, level: int):
        self.name, self.level = name, level
        modules = dict(model.named_modules())
        if not name or name not in modules:
            children = ', '.join(key for key, _ in model.named_children())
            raise ConfigError(
                f'model.guide.feature={name!r} is no module of this {type(model).__name__}, which has {children}, and '
                f'the modules in them. Name one that returns feature maps, such as backbone or neck.'
            )
        self.module = modules[name]
        around = (modules[name.rsplit('.', depth)[0]] for depth in range(name.count('.') + 1))
        self.backbone = next((one for one in around if knows_tokens(one)), self.module)
        refuse_channels_last(self.backbone)

    @property
    def label(self) -> str:
        """str: The output of the module, as two settings: ``'neck, level 0'``."""
        return f'{self.name}, level {self.level}'

    @contextmanager
    def seen(self) -> Iterator[list[Tensor]]:
        """Watch the module.

        Yields:
            List[Tensor]: Its feature, one for each pass of the module.

        Raises:
            ConfigError: It returns no such feature.
        """
        found: list[Tensor] = []
        handle = self.module.register_forward_hook(lambda module, args, output: found.append(self._pick(output)))
        try:
            yield found
        finally:
            handle.remove()

    def of_zeros(self, model: nn.Module, backbone: dict) -> tuple[Tensor, int]:
        """See the feature of one image of zeros, which the model takes in eval mode, after what freezes it in training.

        Args:
            model (nn.Module): The model, which has an ``extract_feat``; it is not changed.
            backbone (dict): The settings of its backbone, for the size of the image: its ``img_size``, else 224.

        Returns:
            Tuple[Tensor, int]: The feature, and the side of the image in pixels.

        Raises:
            ConfigError: The model does not run its module, or cannot take such an image.
        """
        modes = [(module, module.training) for module in model.modules()]
        size = size_of(getattr(model, 'backbone', model), backbone)
        model.train()  # some backbones freeze their parts here
        model.eval()
        try:
            with torch.enable_grad(), self.seen() as found:
                model.extract_feat(next(model.parameters()).new_zeros(1, 3, size, size))
        except ConfigError:
            raise
        except Exception as error:  # each model has its own error
            if not found:  # what comes after the feature may need larger images, as the neck of SSD does
                raise ConfigError(
                    f'{type(model).__name__} cannot extract features of an image of {size} x {size} pixels, which '
                    f'model.guide needs for the width of its neck: {sentence(error)}'
                ) from error
        finally:
            for module, mode in modes:
                module.training = mode
        if not found:
            raise ConfigError(
                f'{self.name} does not run when this {type(model).__name__} extracts features: the modules that do are '
                f'those before its heads. Name another one as model.guide.feature, such as backbone or neck.'
            )
        self.width = pooled(found).shape[1]
        return self.only(found, 1), size

    def require_trained(self, feature: Tensor) -> None:
        """Refuse a feature that no gradient changes.

        Args:
            feature (Tensor): Of this module.

        Raises:
            ConfigError: It is frozen.
        """
        require(
            feature.requires_grad or not torch.is_grad_enabled() or torch.is_inference_mode_enabled(),
            f'The output of {self.name} needs no gradient: all that makes it is frozen, so that a guide would teach '
            f'nothing. Train a part of it, or name another module as model.guide.feature, such as neck.',
        )

    def only(self, found: list[Tensor], images: int) -> Tensor:
        """Take the feature of a step.

        Args:
            found (List[Tensor]): What :meth:`seen` gave.
            images (int): How many images the batch has.

        Returns:
            Tensor: The one feature.

        Raises:
            ConfigError: The module did not run once, or has another output in training than in evaluation.
        """
        if len(found) != 1:
            raise ConfigError(
                f'{self.name} ran {len(found)} times in a step of this model, expected once: the teacher sees the '
                f'batch once, too. Name another module as model.guide.feature.'
            )
        count, width = len(found[0]), found[0].shape[2 if found[0].ndim == 3 else 1]
        if (count, width) != (images, self.width):  # some return more in training, for losses of their own
            raise ConfigError(
                f'{self.name} returns {count} features of {width} channels for {images} image(s) in training, expected '
                f'one of {self.width} channels for each, as in evaluation. Name another module as model.guide.feature, '
                f'for example a part of it.'
            )
        return found[0]

    def _pick(self, output: Any) -> Tensor:
        levels = [output] if isinstance(output, Tensor) else output
        if not isinstance(levels, (list, tuple)) or not all(isinstance(level, Tensor) for level in levels):
            raise ConfigError(
                f'{self.name} returns a {type(output).__name__}, which is not a feature map or a list of them. Name '
                f'another module as model.guide.feature.'
            )
        if not -len(levels) <= self.level < len(levels):
            shapes = ', '.join(str(tuple(level.shape)) for level in levels)
            raise ConfigError(
                f'model.guide.level={self.level}, but {self.name} returns {len(levels)} feature(s): {shapes}. Give '
                f'0 to {len(levels) - 1}, or -1 for the last.'
            )
        return levels[self.level]
