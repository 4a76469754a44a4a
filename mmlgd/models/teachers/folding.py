"""Folds batch norms into the convolutions before them: a frozen tower then needs no extra pass for them."""

import copy

from mmcv.cnn import fuse_conv_bn
from torch import nn

from .probing import same_output


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
    try:
        folded = fuse_conv_bn(copy.deepcopy(tower)).eval()  # it inserts identities, which start in training mode
    except RuntimeError:  # a pair of different widths
        return tower
    if len(folded.state_dict()) == len(tower.state_dict()):
        return tower
    return folded if same_output(tower, folded, image_size) else tower
