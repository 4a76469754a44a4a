"""Training on a share of the labels: the images that a run may see, drawn by its seed."""

import random
from collections.abc import Iterator, Sized
from typing import Optional

from mmengine.dataset import InfiniteSampler

from mmlgd.errors import ConfigError
from mmlgd.registry import DATA_SAMPLERS

# Data sets of OpenMMLab around another one, whose indices do not each stand for one image of their own.
_WRAPPERS = ('RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')


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
        ConfigError: A share outside (0, 100]; or less than 100 per cent of a data set that repeats or mixes images,
            which would show more of them.

    Examples:
        >>> few, more = (LabelSampler(range(100), percent, seed=0).chosen for percent in (5, 10))
        >>> len(more), set(few) < set(more)
        (10, True)
    """

    def __init__(self, dataset: Sized, percent: float = 100, shuffle: bool = True, seed: Optional[int] = None) -> None:
        if not 0 < percent <= 100:
            raise ConfigError(f'LabelSampler takes a share of the images in (0, 100] per cent, got percent={percent}.')
        if percent < 100:
            _refuse_wrappers(dataset)
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        number = random.Random(self.seed).random  # Python guarantees this sequence, but not shuffle() and sample()
        ranks = [number() for _ in range(self.size)]
        self.size = max(1, round(self.size * percent / 100))
        self.chosen = sorted(sorted(range(len(ranks)), key=ranks.__getitem__)[: self.size])

    def _infinite_indices(self) -> Iterator[int]:
        """Map positions in the share to images."""
        return (self.chosen[k] for k in super()._infinite_indices())


def _refuse_wrappers(dataset: Optional[Sized]) -> None:
    while dataset is not None:
        if (kind := type(dataset).__name__) in _WRAPPERS:
            raise ConfigError(
                f'LabelSampler would show more images than its share of a {kind}, which repeats images or mixes them '
                f'with others. Give it the data set inside; the sampler itself goes on without end.'
            )
        dataset = getattr(dataset, 'dataset', None)
