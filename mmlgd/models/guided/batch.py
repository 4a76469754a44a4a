"""What the samples of a batch say about its places: which lie on an image, and which on objects."""

import math
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.models.embedded import Extents


def extents_of(samples: Optional[list], shape: tuple[int, int], divisor: Optional[int] = None) -> Optional[Extents]:
    """Read from the samples which part of a padded batch each image covers.

    Args:
        samples (List[BaseDataElement], optional): Of the libraries; ``img_shape`` is the image without the padding that
            the data preprocessor has put below and right of it.
        shape (Tuple[int, int]): Height and width of the batch in pixels.
        divisor (int, optional): Of a classifier, whose batch is as large as its largest image, up to a multiple of
            this: any other ``img_shape`` is that of the file, which transforms of torchvision leave there, and says
            nothing of padding. Defaults to None: ``img_shape`` is the image's.

    Returns:
        Tuple[Tuple[float, float]] | None: Shares of height and width. None without padding, and if nothing is known.
    """
    sizes = [sample.get('img_shape') or shape for sample in samples or ()]
    if divisor and any(math.ceil(max(own) / divisor) * divisor != whole for own, whole in zip(zip(*sizes), shape)):
        return None
    shares = tuple(tuple(min(1.0, own / whole) for own, whole in zip(size, shape)) for size in sizes)
    return None if all(share == (1.0, 1.0) for share in shares) else shares


def object_weights(samples: list, there: Tensor, shape: tuple[int, int], ignored: int = 255) -> Tensor:
    r"""Weigh places so that those on objects count as much as all others together, whatever their area.

    .. math:: w = 1 / n_\text{objects} \text{ on an object}, \quad 1 / n_\text{others} \text{ elsewhere}

    as in focal distillation of detectors, which also takes foreground and background apart and divides by their area
    (FGD, Yang et al., CVPR 2022, arXiv 2111.11837). A place is on an object if it overlaps a ground-truth box, or a
    mask where there are masks, or, in a segmentor, a pixel with a label.

    Args:
        samples (List[BaseDataElement]): N samples with ``gt_instances`` or ``gt_sem_seg``.
        there (Tensor): (N, h, w) bool, on the device: places that are not on padding.
        shape (Tuple[int, int]): Height and width of the batch in pixels.
        ignored (int): Pixels of a segmentor that have no label. Defaults to 255, mmsegmentation's.

    Returns:
        Tensor: (N, h, w) float32, 0 on padding.

    Raises:
        ConfigError: A sample has neither boxes, masks nor labelled pixels.
    """
    found = [_objects(sample, there[0].shape, shape, ignored, there.device) for sample in samples]
    objects = there & torch.stack(found)
    others = there & ~objects
    return objects / objects.sum().clamp(min=1) + others / others.sum().clamp(min=1)


def _objects(sample: Any, grid: tuple, shape: tuple, ignored: int, device: torch.device) -> Tensor:
    """Find the places of an image that overlap an object, (h, w) bool."""
    if (instances := sample.get('gt_instances')) is not None and ('masks' in instances or 'bboxes' in instances):
        if 'masks' in instances:
            masks = instances.masks  # a tensor already if the model's own loss has made it one, as RTMDet-Ins does
            masks = masks if isinstance(masks, Tensor) else masks.to_tensor(torch.bool, device)
            return _overlaps(masks.any(dim=0), grid, shape)
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).to(device)  # (M, 4) left, top, right, bottom
        (top, left), (height, width) = _starts(grid, shape, device), (whole / n for whole, n in zip(shape, grid))
        rows = (boxes[:, None, 1] < top + height) & (boxes[:, None, 3] > top)  # (M, h)
        columns = (boxes[:, None, 0] < left + width) & (boxes[:, None, 2] > left)  # (M, w)
        return (rows[:, :, None] & columns[:, None, :]).any(dim=0)
    if (labels := sample.get('gt_sem_seg')) is not None:
        return _overlaps(labels.data[0].to(device) != ignored, grid, shape)
    raise ConfigError(
        "model.guide.focus='objects' reads ground-truth boxes, masks or labelled pixels, and this batch has none: "
        'leave focus out.'
    )


def _starts(grid: tuple[int, int], shape: tuple[int, int], device: torch.device) -> list[Tensor]:
    return [torch.arange(n, device=device) * (whole / n) for n, whole in zip(grid, shape)]


def _overlaps(mask: Tensor, grid: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Bring a mask of pixels, whose padding may be missing, to the places that overlap it."""
    padded = F.pad(mask.float(), (0, shape[1] - mask.shape[1], 0, shape[0] - mask.shape[0]))
    return F.adaptive_max_pool2d(padded[None], grid)[0] > 0
