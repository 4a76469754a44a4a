"""Turns the batch of a dataloader into the batch for student and teacher."""

from typing import Optional

import torch
from mmpretrain.models import SelfSupDataPreprocessor
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings


@MODELS.register_module()
class PretrainDataPreprocessor(SelfSupDataPreprocessor):
    r"""mmpretrain's data preprocessor for self-supervised methods, which can also augment a whole batch at once.

    In training, with an augmentation, images go to the device as 8 bits and then

    .. math:: x = (255 \cdot \text{augment}(\text{RGB} / 255) - \text{mean}) / \text{std}

    so that a dataloader's workers only decode and crop. Without an augmentation, and in evaluation, it behaves like
    mmpretrain's.

    Args:
        augmentation (dict, optional): ``dict(type='mmlgd.MoCoV2Augmentation')``, which replaces the colours, blur and
            flip of the train pipeline. Defaults to None.
        **kwargs: ``mean``, ``std``, ``to_rgb`` and the rest of ``mmpretrain.SelfSupDataPreprocessor``.

    Raises:
        ConfigError: An augmentation without ``to_rgb=True``.

    Examples:
        >>> import torch
        >>> from mmlgd import PretrainDataPreprocessor
        >>> preprocess = PretrainDataPreprocessor(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
        >>> white = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
        >>> preprocess(dict(inputs=white), training=True)['inputs'].unique()
        tensor([1.])
    """

    @checked_settings
    def __init__(self, augmentation: Optional[dict] = None, **kwargs):
        super().__init__(**kwargs)
        if augmentation and not (kwargs.get('to_rgb') or kwargs.get('bgr_to_rgb')):
            raise ConfigError(
                'An augmentation works on RGB, and images are loaded as BGR. Set to_rgb=True in data_preprocessor.'
            )
        self.augmentation = build_part(augmentation, 'data_preprocessor.augmentation') if augmentation else None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a batch to the device, augment it (in training) and normalise it.

        Args:
            data (dict): ``inputs`` (N, 3, H, W) BGR in 0..255; optionally ``data_samples``,
                ``teacher_embeddings`` (N, D) and ``teacher_places`` (N, h, w, D) or names, and ``augmentation_noise``
                (N, M) on the CPU, from which the augmentation makes the views.
            training (bool): Augment. Defaults to False.

        Returns:
            dict: ``inputs`` (N, 3, H, W) float32, and ``data_samples``, ``teacher_embeddings`` and ``teacher_places``
            if they were given.

        Raises:
            TypeError: There is an augmentation, and ``inputs`` are not a stacked batch.
            ValueError: There is noise, but no augmentation to use it.
        """
        noise = data.get('augmentation_noise')
        augments = training and self.augmentation is not None
        if noise is not None and training and not augments:
            raise ConfigError(
                'The batch has augmentation_noise, but this data_preprocessor has no augmentation: its images would '
                'not be the views that the noise describes. Set augmentation=dict(type="mmlgd.MoCoV2Augmentation").'
            )
        inputs, samples = data['inputs'], data.get('data_samples')
        if augments or isinstance(inputs, Tensor):
            views = dict(inputs=self._stacked(inputs, noise, augments), data_samples=self.cast_data(samples))
        else:
            views = super().forward(dict(inputs=inputs, data_samples=samples), training)
        if 'data_samples' not in data:
            del views['data_samples']
        for name in ('teacher_embeddings', 'teacher_places'):
            if name in data:
                views[name] = data[name].to(self.device, non_blocking=True)
        return views

    def _stacked(self, inputs: Tensor, noise: Optional[Tensor], augments: bool) -> Tensor:
        if not isinstance(inputs, Tensor):
            raise TypeError(
                f'Expected a stacked batch (N, 3, H, W) to augment, got a {type(inputs).__name__}. Set '
                f'collate_fn=dict(type="mmlgd.default_collate") in the dataloader; several views of one image must be '
                f'made by the train pipeline, without an augmentation here.'
            )
        # Torch keeps pinned memory until the copy is done, so this is safe; it waits only for unpinned memory.
        inputs = inputs.to(self.device, non_blocking=True)
        if self._channel_conversion:  # in 8 bits it is cheap; mmpretrain's [2, 1, 0] is copied, and a GPU waited for
            inputs = inputs.flip(1)
        if augments:
            views = self.augmentation((inputs / 255).float(), noise)
            if self._enable_normalize:  # one pass over the batch
                return torch.addcmul(-self.mean / self.std, views, 255 / self.std)
            return views * 255
        inputs = inputs.float()
        return (inputs - self.mean) / self.std if self._enable_normalize else inputs
