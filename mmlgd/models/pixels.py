"""Pixel operations of the augmentation, where kornia differs from Pillow or is slower."""

import math

import torch
from torch import Tensor

BLUR_PASSES = 3  # Pillow's Gaussian blur is three passes of a box


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    r"""Turn the hue of images like torchvision's and kornia's functions through HSV, in a third of the time.

    .. math:: c' = v - \delta \cdot \text{clamp}(\min(k_c, 4 - k_c), 0, 1), \quad k_c = (n_c + h + 6 f) \bmod 6

    with the largest channel v, its distance \delta to the smallest, the hue h in sixths of the circle and n = (5, 3, 1)
    for red, green and blue. Values that the turn does not change are not split into planes and stacked again.

    Args:
        images (Tensor): (N, 3, H, W) RGB in [0, 1].
        turns (Tensor): (N,), f, fractions of the circle.

    Returns:
        Tensor: (N, 3, H, W) RGB in [0, 1].

    Examples:
        >>> import torch
        >>> from mmlgd.models.pixels import turn_hue
        >>> red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
        >>> turn_hue(red, torch.tensor([1 / 3])).flatten().round()
        tensor([0., 1., 0.])
    """
    r, g, b = images.unbind(1)  # (N, H, W) each
    value = images.amax(1)
    chroma = value - images.amin(1)
    divisor = chroma.masked_fill(chroma == 0, 1)
    hue = torch.where(
        value == r, (g - b) / divisor, torch.where(value == g, 2 + (b - r) / divisor, 4 + (r - g) / divisor)
    )
    hue += 6 * turns.view(-1, 1, 1)
    turned = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        k = (hue + offset).remainder_(6)
        turned[:, channel] = value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)
    return turned


def gaussian_kernels(sigma: Tensor, greatest: float) -> Tensor:
    r"""Compute Pillow's blur kernels: three extended boxes, whose variances sum to the variance of a Gaussian.

    Gwosdek et al., *Theoretical Foundations of Gaussian Convolution by Extended Box Filtering*, SSVM 2011. A box of
    variance :math:`v = \sigma^2 / 3` is :math:`2l + 1` pixels of weight 1 and one of weight :math:`\alpha` at each
    end. A sampled Gaussian is no substitute: at a :math:`\sigma` of 0.3 its variance is a tenth of :math:`\sigma^2`.

    Args:
        sigma (Tensor): (N,), standard deviations in pixels, > 0.
        greatest (float): The largest possible sigma; it sets the width, so that a kernel does not depend on the others.

    Returns:
        Tensor: (N, T), T odd, rows that sum to 1.

    Examples:
        >>> import torch
        >>> from mmlgd.models.pixels import gaussian_kernels
        >>> kernel = gaussian_kernels(torch.tensor([0.5]), greatest=0.5)[0]
        >>> offsets = torch.arange(len(kernel)) - len(kernel) // 2
        >>> (kernel * offsets**2).sum().sqrt()
        tensor(0.5000)
    """
    variance = (sigma.double() ** 2 / BLUR_PASSES)[:, None]  # (N, 1)
    inner = torch.floor((torch.sqrt(12 * variance + 1) - 1) / 2)  # l
    ends = (2 * inner + 1) * (inner * (inner + 1) - 3 * variance) / (6 * (variance - (inner + 1) ** 2))  # α
    reach = math.floor((math.sqrt(12 * greatest**2 / BLUR_PASSES + 1) - 1) / 2) + 1
    distance = torch.arange(-reach, reach + 1).abs()  # (2 reach + 1,)
    box = (distance <= inner) + ends * (distance == inner + 1)
    box = box / box.sum(dim=1, keepdim=True)  # (N, 2 reach + 1)
    spectrum = torch.fft.rfft(box, n=2 * reach * BLUR_PASSES + 1)  # long enough to convolve the three boxes
    return torch.fft.irfft(spectrum**BLUR_PASSES, n=2 * reach * BLUR_PASSES + 1).to(sigma.dtype)
