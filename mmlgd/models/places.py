"""The student's places: its neck at each position of the backbone's feature map."""

from collections.abc import Sequence
from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.building import build_part
from mmlgd.utils.validation import checked_settings, require

from .necks import ProjectionNeck, features_of_zeros, size_of


def place_map(feats: Sequence[Tensor], backbone: nn.Module, image_shape: tuple[int, int]) -> Tensor:
    """Arrange a backbone's last feature as a map of places.

    Args:
        feats (Sequence[Tensor]): The backbone's output. The last is (N, C, h, w), which is taken as it is, or
            (N, T, C), the tokens of a transformer: prefix tokens are dropped, and the others are a grid, row by row.
        backbone (nn.Module): The backbone, which knows how many prefix tokens it has: ``num_prefix_tokens`` of a timm
            model, ``num_extra_tokens`` of mmpretrain's.
        image_shape (Tuple[int, int]): Height and width in pixels of its input; the grid has their ratio.

    Returns:
        Tensor: (N, C, h, w).

    Raises:
        ConfigError: The feature is pooled, or its tokens do not make a grid of that ratio.

    Examples:
        >>> import torch
        >>> from mmpretrain.models import VisionTransformer
        >>> vit = VisionTransformer('deit-tiny', img_size=64, out_type='raw')  # a class token and 4 x 4 patches
        >>> place_map(vit(torch.zeros(1, 3, 64, 64)), vit, (64, 64)).shape
        torch.Size([1, 192, 4, 4])
    """
    x, kind = feats[-1], type(backbone).__name__
    if not isinstance(x, Tensor) or x.ndim not in (3, 4):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ConfigError(
            f'The backbone {kind} has no places: its feature has shape {shape}, expected (N, C, h, w) or tokens '
            f'(N, T, C). {_cure(backbone)}'
        )
    if x.ndim == 4:
        return x
    prefix = _prefix_tokens(backbone)
    h, w = _grid(x.shape[1] - prefix, image_shape, backbone)
    return x[:, prefix:].transpose(1, 2).unflatten(2, (h, w))  # (N, C, h, w)


def to_grid(places: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bring places to another grid, bilinearly; a grid that is more than twice as fine is averaged.

    Bilinear weights alone would reach 2 x 2 places of each cell, and the others would have no part in a loss.

    Args:
        places (Tensor): (N, h, w, D), unit rows.
        grid (Tuple[int, int]): h' and w'.

    Returns:
        Tensor: (N, h', w', D), unit rows; ``places`` itself if the grid is theirs.

    Examples:
        >>> import torch
        >>> to_grid(torch.nn.functional.normalize(torch.rand(2, 3, 3, 8), dim=-1), (5, 6)).shape
        torch.Size([2, 5, 6, 8])
    """
    if tuple(places.shape[1:3]) == tuple(grid):
        return places
    least = [to if own > 2 * to else own for own, to in zip(places.shape[1:3], grid)]
    means = F.adaptive_avg_pool2d(places.permute(0, 3, 1, 2), least)  # the same places, unless they are so fine
    moved = F.interpolate(means, tuple(grid), mode='bilinear')  # (N, D, h', w')
    return F.normalize(moved.permute(0, 2, 3, 1), dim=-1)


def fit_places(settings: Optional[dict], backbone: nn.Module, backbone_settings: dict, neck: nn.Module) -> nn.Module:
    """Build the student's places for a backbone and a neck; one pass of zeros checks that there are places.

    Args:
        settings (dict, optional): Config of the places; ``type`` defaults to ``'mmlgd.StudentPlaces'``.
        backbone (nn.Module): The backbone.
        backbone_settings (dict): Its config.
        neck (nn.Module): The student's neck.

    Returns:
        nn.Module: The places.

    Raises:
        ConfigError: The backbone has no places, or ``stages`` that it does not return; or the neck embeds whole images
            alone.
    """
    require(
        hasattr(neck, 'project'),
        f'Terms on places need a neck that also embeds places, such as mmlgd.ProjectionNeck, got a '
        f'{type(neck).__name__}.',
    )
    size = size_of(backbone, backbone_settings)
    feats = features_of_zeros(backbone, size)
    place_map(feats, backbone, (size, size))
    channels = [x.shape[2 if x.ndim == 3 else 1] for x in feats]
    return build_part(settings, 'model.places', 'mmlgd.StudentPlaces', offered=dict(channels=channels))


@MODELS.register_module()
class StudentPlaces(nn.Module):
    r"""Embed each place of an image with the student: its neck, at each position of a feature map.

    With stages :math:`F_0, \dots, F_n` the map is a light top-down path (as in FPN, Lin et al., CVPR 2017, arXiv
    1612.03144), which is trained with the student and which no later task needs:

    .. math:: M_n = F_n, \qquad M_i = \text{upsample}(M_{i+1}) + W_i F_i

    where each :math:`W_i` is a 1x1 convolution to the width of the last stage and starts at 0, so that the first step
    sees the last stage alone. Without stages, the map is the last feature, and there are no parameters.

    Args:
        stages (List[int], optional): Indices into what the backbone returns, from finer to coarser; the last must be
            the backbone's last. Defaults to None: the last feature alone.
        channels (List[int], optional): Width of each feature that the backbone returns; LGD fills it in.

    Raises:
        ConfigError: ``stages`` are not indices of that kind.

    Examples:
        >>> import torch
        >>> from mmpretrain.models import ResNet
        >>> from mmlgd.models import ProjectionNeck, StudentPlaces
        >>> backbone, neck = ResNet(18, out_indices=(2, 3)), ProjectionNeck(512, 16)
        >>> feats = backbone(torch.zeros(1, 3, 64, 64))
        >>> StudentPlaces()(feats, backbone, neck, (64, 64)).shape
        torch.Size([1, 2, 2, 16])
        >>> StudentPlaces([0, 1], [256, 512])(feats, backbone, neck, (64, 64)).shape
        torch.Size([1, 4, 4, 16])
    """

    @checked_settings
    def __init__(self, stages: Optional[list[int]] = None, channels: Optional[list[int]] = None):
        super().__init__()
        self.stages = [-1] if stages is None else list(stages)
        if stages is None:
            return
        require(
            channels is not None and len(stages) > 1 and sorted(set(stages)) == self.stages and stages[0] >= 0,
            f'Expected stages of places as two or more indices, from finer to coarser, and the channels of all '
            f'features, got stages={stages}, channels={channels}.',
        )
        require(
            stages[-1] == len(channels) - 1,
            f'Expected stages of places that end with the last feature of the backbone, which returns {len(channels)}, '
            f'got stages={stages}. Give {stages[:-1]} and {len(channels) - 1}, or set the out_indices of the backbone.',
        )
        self.laterals = nn.ModuleList(nn.Conv2d(channels[i], channels[-1], 1, bias=False) for i in stages[:-1])
        for lateral in self.laterals:
            nn.init.zeros_(lateral.weight)

    def forward(
        self, feats: Sequence[Tensor], backbone: nn.Module, neck: ProjectionNeck, image_shape: tuple[int, int]
    ) -> Tensor:
        """Embed the places.

        Args:
            feats (Sequence[Tensor]): The backbone's output, see :func:`place_map`.
            backbone (nn.Module): The backbone.
            neck (ProjectionNeck): The student's neck, the same as for whole images.
            image_shape (Tuple[int, int]): Height and width in pixels of the backbone's input.

        Returns:
            Tensor: (N, h, w, D) float32, unit rows.

        Raises:
            ConfigError: The backbone has no places, see :func:`place_map`.
        """
        maps = [place_map([feats[i]], backbone, image_shape) for i in self.stages]
        x = maps.pop()  # (N, C, h, w)
        for lateral, finer in reversed(list(zip(getattr(self, 'laterals', ()), maps))):
            x = F.interpolate(x, finer.shape[-2:], mode='bilinear') + lateral(finer)
        return neck.project(x.permute(0, 2, 3, 1))  # (N, h, w, D)


def knows_tokens(module: nn.Module) -> bool:
    """Check whether a module says how many of its tokens are no places.

    Args:
        module (nn.Module): A backbone, or a part of one.

    Returns:
        bool: Whether it is a transformer of mmpretrain or timm's wrapper.
    """
    return hasattr(module, 'timm_model') or hasattr(module, 'num_extra_tokens')


def _prefix_tokens(backbone: nn.Module) -> int:
    timm_model = getattr(backbone, 'timm_model', None)
    return getattr(timm_model, 'num_prefix_tokens', 0) if timm_model else getattr(backbone, 'num_extra_tokens', 0)


# Settings that make a backbone give a map: what tells that it has the setting, and the setting itself.
_CURES = {
    'gap_before_final_norm': 'gap_before_final_norm=False',  # mmpretrain: ConvNeXt, EdgeNeXt, HorNet, TinyViT
    'reshape_last_feat': 'reshape_last_feat=True',  # EfficientFormer
    'out_type': "out_type='featmap'",  # all transformers of mmpretrain with a class token
}


def _cure(backbone: nn.Module) -> str:
    """Name the setting with which a backbone gives a map of places."""
    found = next((setting for name, setting in _CURES.items() if hasattr(backbone, name)), None)
    if found is None:
        return 'Choose a backbone with a feature map (N, C, h, w), such as ResNet, MobileNetV2 or ConvNeXt.'
    return f'Set model.backbone.{found}.'


def _grid(tokens: int, image_shape: tuple[int, int], backbone: nn.Module) -> tuple[int, int]:
    """Find the grid of so many tokens that has the ratio of the image, up to one row of padding."""
    ratio = image_shape[0] / image_shape[1]
    grids = [(h, tokens // h) for h in range(1, tokens + 1) if tokens % h == 0]
    h, w = min(grids, key=lambda grid: abs(grid[0] - ratio * grid[1]), default=(0, 0))
    if not h or min(abs(h - ratio * w), abs(w - h / ratio)) >= 1:
        raise ConfigError(
            f'The {tokens} tokens of {type(backbone).__name__} are no grid with the ratio of {image_shape[0]} x '
            f'{image_shape[1]} pixels. {_cure(backbone)}'
        )
    return h, w
