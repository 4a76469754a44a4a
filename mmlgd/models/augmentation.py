"""MoCo v2's colours, blur and flip for a whole batch, on whatever device the batch is on."""

from collections.abc import Callable
from typing import Optional

import torch
from mmengine.dist import get_dist_info
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.utils.validation import checked_settings

from .pixels import gaussian_kernels, turn_hue

# What each uniform variate of an image decides. Stored views are replayed from them: append, never reorder.
NOISE = (
    *('jitter', 'brightness', 'contrast', 'saturation', 'hue'),
    *('order_brightness', 'order_contrast', 'order_saturation', 'order_hue'),
    *('gray', 'blur', 'sigma', 'flip'),
)
CPU_PART = 16  # a whole batch does not fit a CPU's caches: in parts, 256 images take two thirds of the time


@MODELS.register_module()
class MoCoV2Augmentation(nn.Module):
    r"""Augmentation of MoCo v2 (Chen et al., 2020, arXiv 2003.04297) without its crop, as one batched transform.

    ::

        colours = brightness, contrast, saturation and hue, in a random order    # with jitter_prob
        view = flip(blur(gray(colours(image))))                               # each with its own probability

    The pixels equal those of torchvision's transforms on Pillow images, without the rounding to 8 bits in between. A
    view depends only on the image and its own row of uniform noise, not on the batch: the same noise gives the same
    view again. All decisions are taken on the CPU, where the noise is, so that none waits for a GPU (kornia before 0.9
    waits when it copies constants).

    Args:
        brightness (float): b in [0, 1]; pixels are multiplied by a factor in [1 - b, 1 + b]. Defaults to 0.4, as in
            MoCo v2, like the values below.
        contrast (float): Likewise, the blend with the image's mean gray. Defaults to 0.4.
        saturation (float): Likewise, the blend with its gray image. Defaults to 0.4.
        hue (float): In [0, 0.5]; hue is turned by up to this fraction of the circle, either way. Defaults to 0.1.
        jitter_prob (float): Probability of changing these four. Defaults to 0.8.
        gray_prob (float): Probability of removing all colour. Defaults to 0.2.
        sigma (Tuple[float, float]): Smallest and largest standard deviation of the blur in pixels, > 0. Defaults to
            (0.1, 2.0).
        blur_prob (float): Probability of a blur. Defaults to 0.5.
        flip_prob (float): Probability of swapping left and right. Defaults to 0.5.

    Raises:
        ImportError: kornia is not installed.
        ConfigError: A value is outside its range.

    Examples:
        >>> import torch
        >>> from mmlgd import MoCoV2Augmentation
        >>> augment = MoCoV2Augmentation()
        >>> augment(torch.rand(4, 3, 224, 224)).shape
        torch.Size([4, 3, 224, 224])
    """

    #: int: M, the number of uniform variates per view.
    num_noise = len(NOISE)

    @checked_settings
    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        sigma: tuple[float, float] = (0.1, 2.0),
        blur_prob: float = 0.5,
        flip_prob: float = 0.5,
    ):
        super().__init__()
        _check_range(1.0, brightness=brightness, contrast=contrast, saturation=saturation)
        _check_range(0.5, hue=hue)
        _check_range(1.0, jitter_prob=jitter_prob, gray_prob=gray_prob, blur_prob=blur_prob, flip_prob=flip_prob)
        if not 0 < sigma[0] <= sigma[1]:
            raise ConfigError(f'Expected sigma=(least, greatest) in pixels with 0 < least <= greatest, got {sigma}.')
        _import_kornia()  # fail now, not in the first step; a module as an attribute could not be copied or pickled
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue
        self.jitter_prob, self.gray_prob, self.blur_prob, self.flip_prob = jitter_prob, gray_prob, blur_prob, flip_prob
        self.sigma = tuple(sigma)

    @torch.no_grad()
    def forward(self, images: Tensor, noise: Optional[Tensor] = None) -> Tensor:
        """Make a view of each image.

        Args:
            images (Tensor): (N, 3, H, W) RGB, floating point in [0, 1], on any device.
            noise (Tensor, optional): (N, M) uniform in [0, 1), on the CPU. Defaults to None: it is drawn from torch's
                generator, separately for each rank.

        Returns:
            Tensor: (N, 3, H, W) RGB in [0, 1], on the same device.

        Raises:
            ValueError: Images or noise have the wrong shape or type; the message says what is expected.
        """
        if noise is None:
            # All ranks share one seed. Each draws for all and takes its own part; otherwise all would jitter alike.
            rank, world_size = get_dist_info()
            noise = torch.rand(world_size, len(images), self.num_noise)[rank]
        _check_inputs(images, noise, self.num_noise)
        views = images.clone()
        part = CPU_PART if views.device.type == 'cpu' else len(views)
        # A training step runs under autocast; without this, the blur would be computed in 16 bits.
        with torch.autocast(views.device.type, enabled=False):
            for some, variates in zip(views.split(part), noise.split(part)):
                self._augment(some, dict(zip(NOISE, variates.unbind(dim=1))))
        return views

    def _augment(self, views: Tensor, u: dict[str, Tensor]) -> None:
        """Turn images into views, in place, by their variates, each (N,)."""
        self._jitter(views, u)
        _change(views, u['gray'] < self.gray_prob, _gray)
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * u['sigma']
        _change(views, u['blur'] < self.blur_prob, _blur, gaussian_kernels(sigma, self.sigma[1]))
        _change(views, u['flip'] < self.flip_prob, lambda chosen: chosen.flip(-1))

    def _jitter(self, views: Tensor, u: dict[str, Tensor]) -> None:
        enhance = _import_kornia().enhance
        operations = dict(
            brightness=(enhance.adjust_brightness_accumulative, 1 + self.brightness * (2 * u['brightness'] - 1)),
            contrast=(enhance.adjust_contrast_with_mean_subtraction, 1 + self.contrast * (2 * u['contrast'] - 1)),
            saturation=(
                enhance.adjust_saturation_with_gray_subtraction,
                1 + self.saturation * (2 * u['saturation'] - 1),
            ),
            hue=(turn_hue, self.hue * (2 * u['hue'] - 1)),
        )
        jittered = u['jitter'] < self.jitter_prob  # (N,)
        # The ranks of uniform variates are a uniform permutation: order[j] says which operation comes j-th.
        order = torch.stack([u[f'order_{name}'] for name in operations]).argsort(dim=0, stable=True)  # (4, N)
        for turn in order:
            for k, (operation, factors) in enumerate(operations.values()):
                _change(views, jittered & (turn == k), operation, factors)


def _gray(chosen: Tensor) -> Tensor:
    return _import_kornia().color.rgb_to_grayscale(chosen).expand_as(chosen)


def _blur(chosen: Tensor, kernels: Tensor) -> Tensor:
    return _import_kornia().filters.filter2d_separable(chosen, kernels, kernels, border_type='replicate')


def _change(views: Tensor, chosen: Tensor, operation: Callable[..., Tensor], *values: Tensor) -> None:
    """Apply the operation to the chosen rows, each with its row of the values."""
    rows = chosen.nonzero().flatten()  # on the CPU, where reading how many there are costs nothing
    if not len(rows):
        return
    there = rows.to(views.device, non_blocking=True)
    values = [value[rows].to(views.device, views.dtype, non_blocking=True) for value in values]
    views.index_copy_(0, there, operation(views.index_select(0, there), *values))


def _check_range(limit: float, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= limit:
            raise ConfigError(f'Expected {name} in [0, {limit:g}], got {value}.')


def _check_inputs(images: Tensor, noise: Tensor, num_noise: int) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(
            f'Expected images (N, 3, H, W) in floating point, RGB in 0..1, got {tuple(images.shape)} of {images.dtype}.'
        )
    if noise.shape != (len(images), num_noise) or noise.device.type != 'cpu':
        raise ValueError(
            f'Expected noise ({len(images)}, {num_noise}) on the CPU, a row for each image, got '
            f'{tuple(noise.shape)} on {noise.device}.'
        )


def _import_kornia():
    try:
        import kornia
    except ImportError as error:
        raise ImportError(
            'MoCoV2Augmentation needs kornia, which is not installed: pip install "mmlgd[fast]"'
        ) from error
    return kornia
