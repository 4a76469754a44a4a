"""What an image tower computes."""

import copy

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def image_flops(tower: nn.Module, size: tuple[int, int]) -> float:
    """Count the FLOPs of a tower for one image, without computing.

    Attention counts as its two products: torch counts none that is fused.

    Args:
        tower (nn.Module): The tower, in eval mode.
        size (Tuple[int, int]): Height and width of the image in pixels.

    Returns:
        float: Two for each multiplication and addition.

    Examples:
        >>> image_flops(nn.Conv2d(3, 8, 1), (4, 4)) == 2 * 3 * 8 * 4 * 4
        True
    """
    tower = copy.deepcopy(tower).to('meta')
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tower(torch.zeros(1, 3, *size, device='meta'))
    return counter.get_total_flops()
