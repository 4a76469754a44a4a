"""Training on a share of the labels: the images that a run may see, drawn by its seed."""

import random
from collections.abc import Iterator, Sized
from typing import Optional

from mmengine.dataset import InfiniteSampler

from mmlgd.errors import ConfigError
from mmlgd.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class LabelSampler(InfiniteSampler):
    """Sample a share of a data set without end, for a detector or segmentor with few labels.

    The draw depends on the seed and on the number of images alone, so it is the same on every machine, and equal for
    all starts of :func:`mmlgd.compare`. A larger share contains the smaller ones. All shares make equally many steps.

    Args:
        dataset (Sized): Any data set of mmdet, mmseg or mmpretrain.
        percent (float): Share of its images in (0, 100]; at least one image. Defaults to 100: mmengine's
            ``InfiniteSampler``, in the same order.
        shuffle (bool): Shuffle in each round. Defaults to True.
        seed (int, optional): Seed of draw and order. Defaults to None: the seed of the run.

    Raises:
        ConfigError: A share outside (0, 100].

    Examples:
        >>> few, more = (LabelSampler(range(100), percent, seed=0).chosen for percent in (5, 10))
        >>> len(more), set(few) < set(more)
        (10, True)
    """

    def __init__(self, dataset: Sized, percent: float = 100, shuffle: bool = True, seed: Optional[int] = None) -> None:
        if not 0 < percent <= 100:
            raise ConfigError(f'LabelSampler takes a share of the images in (0, 100] per cent, got percent={percent}.')
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        number = random.Random(self.seed).random  # Python guarantees this sequence, but not shuffle() and sample()
        ranks = [number() for _ in range(self.size)]
        self.size = max(1, round(self.size * percent / 100))
        self.chosen = sorted(sorted(range(len(ranks)), key=ranks.__getitem__)[: self.size])

    def _infinite_indices(self) -> Iterator[int]:
        """Map positions in the share to images."""
        return (self.chosen[k] for k in super()._infinite_indices())
