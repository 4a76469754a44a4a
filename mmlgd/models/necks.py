"""The student's way into the joint space."""

from typing import Optional

import torch.nn.functional as F
from mmpretrain.models.necks import MoCoV2Neck
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require


def pooled(feats: tuple[Tensor, ...]) -> Tensor:
    """Make one vector of each image out of what a backbone returns.

    Args:
        feats (Tuple[Tensor]): The last is (N, C, H, W), which is averaged over the image, or (N, C) as from a ViT's
            class token.

    Returns:
        Tensor: (N, C).

    Raises:
        ConfigError: It is of another shape, as all tokens of a ViT are.

    Examples:
        >>> import torch
        >>> pooled((torch.rand(2, 512, 7, 7),)).shape
        torch.Size([2, 512])
    """
    x = feats[-1]
    if not isinstance(x, Tensor) or x.ndim not in (2, 4):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(
            f'The backbone gives {shape} as its last feature, expected is (N, C, H, W) or (N, C). For a transformer '
            f"set model.backbone.out_type='cls_token' or 'avg_featmap'."
        )
    return x.mean(dim=(2, 3)) if x.ndim == 4 else x


@MODELS.register_module()
class ProjectionNeck(MoCoV2Neck):
    """Projection of the backbone's last feature into the teacher's joint space: [gap-]fc-relu-fc, unit length.

    Args:
        in_channels (int): Channels of the backbone's last feature, for example 512 for ResNet-18 and 1280 for
            MobileNetV2.
        out_channels (int): D, the teacher's dimension; LGD fills it in.
        hid_channels (int, optional): Width of the hidden layer. Defaults to ``in_channels``, as published.

    Examples:
        >>> import torch
        >>> from mmlgd.models import ProjectionNeck
        >>> ProjectionNeck(512, 1024)((torch.rand(2, 512, 7, 7),)).norm(dim=-1).round()
        tensor([1., 1.], grad_fn=<RoundBackward0>)
    """

    @checked_settings
    def __init__(self, in_channels: int, out_channels: int, hid_channels: Optional[int] = None):
        require(
            min(in_channels, out_channels, 1 if hid_channels is None else hid_channels) > 0,
            f'Expected positive numbers of channels, got in_channels={in_channels}, hid_channels={hid_channels}, '
            f'out_channels={out_channels}.',
        )
        super().__init__(in_channels, hid_channels or in_channels, out_channels, with_avg_pool=True)
        self.in_channels = in_channels
        self.out_channels = out_channels

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Project the last feature.

        Args:
            feats (Tuple[Tensor]): What the backbone returns; the last is (N, C, H, W), or (N, C) as from a ViT's
                class token.

        Returns:
            Tensor: (N, D) float32, rows of unit length.

        Raises:
            ValueError: C is not ``in_channels``.
        """
        x = feats[-1]
        if x.shape[1] != self.in_channels:
            raise ConfigError(
                f'The backbone gives {x.shape[1]} channels, but the neck has in_channels={self.in_channels}. Set '
                f"model.neck.in_channels={x.shape[1]} (or the backbone's out_indices to its last stage)."
            )
        if x.ndim == 4:
            x = self.avgpool(x).flatten(1)  # (N, C)
        return F.normalize(self.mlp(x).float(), dim=-1)  # (N, D)
