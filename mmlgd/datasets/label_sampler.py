"""Training on a share of the labels: the images that a run may see, drawn by its seed."""

import random
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Optional

import numpy as np
from mmengine.dataset import InfiniteSampler

from mmlgd.errors import ConfigError
from mmlgd.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class LabelSampler(InfiniteSampler):
    """Sample a share of a data set, for a detector, segmentor or classifier with few labels.

    Where the pipeline leaves an image out (a crop without a box, a bad image that is skipped), the data set draws
    another one of the share: the sampler tells it so.

    The draw depends on the seed, on the number of images and on their classes, if each has one; so it is the same on
    every machine, and equal for all starts of :func:`mmlgd.prove`. A larger share contains the smaller ones. Where each
    image has one class, as in mmpretrain, each class gives the same share, at least one image. All shares make equally
    many steps.

    Args:
        dataset (Sized): Any data set of mmdet, mmseg or mmpretrain.
        percent (float): Share of its images in (0, 100]; at least one image. Defaults to 100: mmengine's
            ``InfiniteSampler``, in the same order.
        shuffle (bool): Shuffle in each round. Defaults to True.
        seed (int, optional): Seed of draw and order. Defaults to None: the seed of the run.
        by_epoch (bool): For a loop over epochs: end after as many images as the whole data set has, as
            ``DefaultSampler`` does. Defaults to False: go on without end, for a loop over iterations.

    Attributes:
        chosen (List[int]): The images of the share.
        images (int): How many there are to choose from.

    Raises:
        ConfigError: A share outside (0, 100]; or less than 100 per cent of a data set around another one that is no
            ``RepeatDataset`` or ``ConcatDataset``: one that mixes images or repeats some would show more of them.

    Examples:
        >>> few, more = (LabelSampler(range(100), percent, seed=0).chosen for percent in (5, 10))
        >>> len(more), set(few) < set(more)
        (10, True)
        >>> len(list(LabelSampler(range(100), 5, seed=0, by_epoch=True)))
        100
    """

    def __init__(
        self,
        dataset: Sized,
        percent: float = 100,
        shuffle: bool = True,
        seed: Optional[int] = None,
        by_epoch: bool = False,
    ) -> None:
        if not 0 < percent <= 100:
            raise ConfigError(f'LabelSampler takes a share of the images in (0, 100] per cent, got percent={percent}.')
        images = dataset if percent == 100 else _images_of(dataset)
        super().__init__(dataset, shuffle=shuffle, seed=seed)
        self.by_epoch, self._of_draw = by_epoch, self.seed
        self._length = -(-len(dataset) // self.world_size)
        self.chosen, self.images = _drawn(images, percent, self.seed), len(images)
        self.size = len(self.chosen)
        if percent < 100:
            _keep_to(images, self.chosen)

    def _infinite_indices(self) -> Iterator[int]:
        """Map positions in the share to images."""
        return (self.chosen[k] for k in super()._infinite_indices())

    def __iter__(self) -> Iterator[int]:
        """Give the images of one epoch, or of all rounds."""
        return islice(self._indices_of_rank(), self._length) if self.by_epoch else super().__iter__()

    def __len__(self) -> int:
        """Images of one epoch on this rank, or of one round."""
        return self._length if self.by_epoch else self.size

    def set_epoch(self, epoch: int) -> None:
        """Give each epoch an order of its own; the draw stays."""
        self.seed = self._of_draw + epoch


def _drawn(images: Sized, percent: float, seed: int) -> list[int]:
    number = random.Random(seed).random  # Python guarantees this sequence, but not shuffle() and sample()
    ranks = [number() for _ in range(len(images))]
    classes: dict[int, list[int]] = {}
    for image, label in enumerate(_classes_of(images)):
        classes.setdefault(label, []).append(image)
    counts = {label: max(1, round(len(own) * percent / 100)) for label, own in classes.items()}
    return sorted(one for label, own in classes.items() for one in sorted(own, key=ranks.__getitem__)[: counts[label]])


def _classes_of(images: Sized) -> list[int]:
    """Return the class of each image; 0 for all if an image may have several, or none."""
    if hasattr(images, 'get_gt_labels') and np.ndim(images.get_data_info(0).get('gt_label', ())) == 0:  # mmpretrain's
        return images.get_gt_labels().tolist()
    return [0] * len(images)


def _images_of(dataset: Sized) -> Sized:
    """Take the data set out of its repetitions, where the first indices are its own; refuse other wrappers."""
    while type(dataset).__name__ == 'RepeatDataset':
        dataset = dataset.dataset
    for part, _ in _parts_of(dataset):
        if hasattr(part, 'dataset'):
            raise ConfigError(
                f'LabelSampler may show more images than its share of a {type(part).__name__}, which may repeat '
                f'images, mix them with others or draw others. Give train_dataloader.dataset the data set inside, with '
                f'a pipeline that reads one image.'
            )
    return dataset


def _parts_of(dataset: Sized, first: int = 0) -> Iterator[tuple[Sized, int]]:
    """List the joined data sets, with the index of the first image of each."""
    if not hasattr(dataset, 'datasets'):
        yield dataset, first
        return
    for part in dataset.datasets:
        yield from _parts_of(part, first)
        first += len(part)


def _keep_to(images: Sized, chosen: list[int]) -> None:
    """Let each data set of mmengine replace an image that its pipeline leaves out by another one of the share."""
    for part, first in _parts_of(images):
        if hasattr(part, '_rand_another'):
            part._rand_another = _AnotherOf([k - first for k in chosen if first <= k < first + len(part)])


class _AnotherOf:
    """In place of ``BaseDataset._rand_another``, which draws from all images; processes of a data loader copy it."""

    def __init__(self, own: list[int]):
        self.own = own

    def __call__(self) -> int:
        return self.own[np.random.randint(len(self.own))]
