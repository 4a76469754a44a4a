"""The student's projection into the joint space."""

import inspect
from typing import Optional

import torch
import torch.nn.functional as F
from mmpretrain.models.necks import MoCoV2Neck
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings, require


def pooled(feats: tuple[Tensor, ...]) -> Tensor:
    """Pool a backbone's output into one vector per image.

    Args:
        feats (Tuple[Tensor]): The last is (N, C, H, W), which is averaged over the image, (N, T, C), which is averaged
            over the tokens of a transformer, or (N, C), which is taken as it is.

    Returns:
        Tensor: (N, C).

    Raises:
        ConfigError: The last feature has another shape.

    Examples:
        >>> import torch
        >>> pooled((torch.rand(2, 512, 7, 7),)).shape
        torch.Size([2, 512])
    """
    x = feats[-1]
    if not isinstance(x, Tensor) or x.ndim not in (2, 3, 4):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(
            f'The last feature of the backbone has shape {shape}, expected (N, C, H, W), (N, T, C) or (N, C). Choose '
            f'another output with out_indices or out_type, or another backbone.'
        )
    return x if x.ndim == 2 else x.mean(dim=(2, 3) if x.ndim == 4 else 1)


def channels_of(backbone: nn.Module, size: int) -> int:
    """Find the width of a backbone's last feature with one pass of zeros.

    Args:
        backbone (nn.Module): See :func:`features_of_zeros`.
        size (int): Height and width of the zeros in pixels.

    Returns:
        int: C.

    Raises:
        ConfigError: The backbone cannot take such images, or its output is not an image feature.

    Examples:
        >>> from mmpretrain.models import ResNet
        >>> channels_of(ResNet(18), 32)
        512
    """
    return pooled(features_of_zeros(backbone, size)).shape[1]


def features_of_zeros(backbone: nn.Module, size: int) -> tuple[Tensor, ...]:
    """Pass one image of zeros through a backbone, to see what it returns.

    Args:
        backbone (nn.Module): Takes (N, 3, H, W), returns a tuple of features. It is not changed: the pass runs in eval
            mode, so that batch norm statistics stay the same.
        size (int): Height and width of the zeros in pixels.

    Returns:
        Tuple[Tensor]: Its features.

    Raises:
        ConfigError: The backbone cannot take such images.
    """
    is_training, kind = backbone.training, type(backbone).__name__
    refuse_channels_last(backbone)
    backbone.eval()
    try:
        with torch.no_grad():
            return backbone(next(backbone.parameters()).new_zeros(1, 3, size, size))
    except ConfigError:
        raise
    except Exception as error:  # each backbone has its own error for a size that it does not support
        raise ConfigError(
            f'{kind} cannot take images of {size} x {size} pixels: {" ".join(str(error).split())[:300]} Set the image '
            f'size of the backbone (img_size for most transformers), or train at another size.'
        ) from error
    finally:
        backbone.train(is_training)


def refuse_channels_last(backbone: nn.Module) -> None:
    """Refuse a backbone whose features would be read with height and channels in each other's place.

    Args:
        backbone (nn.Module): The backbone.

    Raises:
        ConfigError: It is a timm model with features (N, H, W, C).
    """
    if 'NHWC' in str(getattr(getattr(backbone, 'timm_model', None), 'output_fmt', '')):
        raise ConfigError(
            'This timm model gives features as (N, H, W, C), which no neck or head of OpenMMLab reads. Use '
            "mmpretrain's model of this kind, for example mmpretrain:swin-tiny."
        )


def fit_neck(neck: dict, backbone: nn.Module, settings: dict, embed_dim: int) -> dict:
    """Fill in a neck's channels from its backbone and teacher.

    Args:
        neck (dict): Config of the neck; values that it sets are kept.
        backbone (nn.Module): The backbone before it.
        settings (dict): Config of the backbone; the pass of zeros uses its ``img_size``, else 224.
        embed_dim (int): D, of the joint space.

    Returns:
        dict: The config with ``out_channels`` and, if the neck accepts it, ``in_channels``.

    Raises:
        ConfigError: See :func:`channels_of`.
    """
    neck = {'type': 'mmlgd.ProjectionNeck', 'out_channels': embed_dim, **neck}
    kind = MODELS.get(neck['type']) if isinstance(neck['type'], str) else neck['type']
    if 'in_channels' not in neck and kind is not None and 'in_channels' in inspect.signature(kind).parameters:
        neck['in_channels'] = channels_of(backbone, size_of(backbone, settings))
    return neck


def size_of(backbone: nn.Module, settings: dict) -> int:
    """Find an image size that a backbone takes: its own ``img_size``, else 224.

    Args:
        backbone (nn.Module): The backbone.
        settings (dict): Its config.

    Returns:
        int: Side in pixels.
    """
    patches = getattr(getattr(backbone, 'timm_model', None), 'patch_embed', None)
    size = settings.get('img_size') or getattr(patches, 'img_size', None) or 224
    return size if isinstance(size, int) else max(size)


@MODELS.register_module()
class ProjectionNeck(MoCoV2Neck):
    """Projection of the backbone's last feature into the teacher's joint space: [gap-]fc-relu-fc, unit length.

    Args:
        in_channels (int): Channels of the backbone's last feature, for example 512 for ResNet-18 and 1280 for
            MobileNetV2; LGD fills it in.
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
            feats (Tuple[Tensor]): The backbone's output, see :func:`pooled`.

        Returns:
            Tensor: (N, D) float32, rows of unit length.

        Raises:
            ConfigError: C is not ``in_channels``, or the last feature has an unsupported shape.
        """
        return self.project(pooled(feats))

    def project(self, x: Tensor) -> Tensor:
        """Project vectors of the last feature: of images, or of their places.

        Args:
            x (Tensor): (..., C).

        Returns:
            Tensor: (..., D) float32, rows of unit length.

        Raises:
            ConfigError: C is not ``in_channels``.
        """
        if x.shape[-1] != self.in_channels:
            raise ConfigError(
                f'The backbone gives {x.shape[-1]} channels, but the neck has in_channels={self.in_channels}. Set '
                f"model.neck.in_channels={x.shape[-1]} or leave it out (or set the backbone's out_indices to its last "
                f'stage).'
            )
        return F.normalize(self.mlp(x).float(), dim=-1)  # (..., D)
