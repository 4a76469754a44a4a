"""Folds batch norms into the convolutions before them: a frozen tower then needs no extra pass for them."""

import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn


def fold_batch_norm(tower: nn.Module, image_size: tuple[int, int]) -> nn.Module:
    r"""Fold batch norms if the result is exact, :math:`\gamma (Wx + b - \mu) / \sigma + \beta = W'x + b'`.

    mmcv pairs a convolution with the batch norm that is registered after it. Most towers also run them in this order. A
    random batch through both detects the other towers, which stay unchanged.

    Args:
        tower (nn.Module): The tower in eval mode, on any device.
        image_size (Tuple[int, int]): Height and width of its images in pixels.

    Returns:
        nn.Module: A folded copy whose output is the same up to rounding, or the tower itself.

    Examples:
        >>> tower = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
        >>> fold_batch_norm(tower, (8, 8))[1]
        Identity()
    """
    folded = fuse_conv_bn(copy.deepcopy(tower)).eval()  # it inserts identities, which start in training mode
    if len(folded.state_dict()) == len(tower.state_dict()):
        return tower
    weight = next(tower.parameters())
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(weight)
    with torch.no_grad():
        expected, got = tower(images), folded(images)
    largest = expected.abs().max()
    # Non-finite outputs cannot be compared here; FiniteCheckHook reports them later.
    same = largest.isfinite() and torch.allclose(got, expected, rtol=1e-3, atol=1e-4 * largest.item())
    return folded if same else tower
