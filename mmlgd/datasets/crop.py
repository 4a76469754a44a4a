"""Random crops as the published pipeline makes them, in half the time."""

from collections.abc import Sequence
from typing import Union

import numpy as np
import torch
from mmpretrain.datasets.transforms import RandomResizedCrop as Crop
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from mmlgd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(Crop):
    """Crop at a random place, scale and aspect ratio; resize bilinearly, with antialiasing (Szegedy et al., CVPR 2015).

    Crops are drawn like those of mmpretrain's transform of the same name, and so like torchvision's. torchvision's
    kernel for uint8 resizes them: it gives Pillow's pixels (up to rounding) without a copy into a Pillow image and
    back. mmpretrain's ``backend='cv2'`` is even faster but does not antialias: a crop that shrinks keeps aliases.

    Args:
        scale (int | Sequence[int]): Height and width of the result, in pixels; an int for a square.
        crop_ratio_range (Tuple[float, float]): Area of a crop relative to the image's, in (0, 1]. Defaults to
            (0.08, 1.0), as in torchvision; MoCo v2 has (0.2, 1.0).
        aspect_ratio_range (Tuple[float, float]): Width over height. Defaults to (3/4, 4/3), as in torchvision.
        max_attempts (int): Draws before the centre is taken. Defaults to 10, as in torchvision.

    Raises:
        ValueError: A range is not (min, max).

    Examples:
        >>> import numpy as np
        >>> from mmlgd.datasets import RandomResizedCrop
        >>> image = np.zeros((480, 640, 3), dtype=np.uint8)
        >>> RandomResizedCrop(224, crop_ratio_range=(0.2, 1.0))(dict(img=image))['img'].shape
        (224, 224, 3)
    """

    def __init__(
        self,
        scale: Union[int, Sequence[int]],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
        max_attempts: int = 10,
    ):
        super().__init__(scale, crop_ratio_range, aspect_ratio_range, max_attempts)

    def transform(self, results: dict) -> dict:
        """Crop and resize.

        Args:
            results (dict): With ``img`` (H, W, C), uint8 or float.

        Returns:
            dict: With ``img`` (scale[0], scale[1], C) of the same type, and its ``img_shape``.
        """
        top, left, height, width = self.rand_crop_params(results['img'])
        crop = results['img'][top : top + height, left : left + width]
        if min(crop.strides) < 0:  # flipped, or Pillow's RGB read backwards: torch knows no negative strides
            crop = np.ascontiguousarray(crop)
        channels_first = torch.from_numpy(crop).permute(2, 0, 1)  # a view, like the one below
        resized = resize(channels_first, list(self.scale), InterpolationMode.BILINEAR, antialias=True)
        results['img'] = resized.permute(1, 2, 0).numpy()
        results['img_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        options = ('scale', 'crop_ratio_range', 'aspect_ratio_range', 'max_attempts')
        return f'{type(self).__name__}({", ".join(f"{name}={getattr(self, name)}" for name in options)})'
