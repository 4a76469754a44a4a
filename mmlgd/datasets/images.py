"""A folder of images, some of which may be bad."""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Optional, Union

import numpy as np
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset

from mmlgd.errors import ConfigError, MissingFileError, MMLGDError, shown
from mmlgd.registry import DATASETS
from mmlgd.text import folders_in_order
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .folder import images_in
from .loading import BadImageError
from .shards import are_shards
from .views import view_pipeline

POLICIES = ('raise', 'skip')


class TooManyBadImagesError(MMLGDError, ValueError):
    """A data set has more bad images than may be left out."""


class BadImages:
    """The policy for bad images of a data set.

    Args:
        policy (str): ``'raise'`` stops at the first bad image; ``'skip'`` replaces each by another image, always the
            same one. Defaults to ``'raise'``.
        most (int | float): How many may be left out: a number, or a share of the data set between 0 and 1. A share
            allows at least one image. At least one image must remain. Defaults to 0.01.

    Raises:
        ValueError: An unknown policy, or ``most`` is neither a number nor a share.

    Examples:
        >>> from mmlgd.datasets.images import BadImages
        >>> BadImages('skip', 0.01).limit(1200)
        12
    """

    def __init__(self, policy: str = 'raise', most: Union[int, float] = 0.01):
        if policy not in POLICIES:
            raise ConfigError(f'bad_images is one of {POLICIES}, got {policy!r}.')
        is_number = isinstance(most, (int, float)) and not isinstance(most, bool)
        if not is_number or not (0 < most < 1 or (most >= 1 and most == int(most))):
            raise ConfigError(f'max_bad_images is a number of images or a share between 0 and 1, got {most!r}.')
        self.policy = policy
        self.most = most

    def limit(self, images: int) -> int:
        """Return how many images may be left out.

        Args:
            images (int): Number of images in the data set.

        Returns:
            int: Fewer than all; 0 if the policy is ``'raise'``.
        """
        if self.policy == 'raise':
            return 0
        allowed = int(self.most) if self.most >= 1 else max(1, int(self.most * images))
        return min(allowed, images - 1)

    def require_few(self, bad: dict[str, str], images: int) -> None:
        """Refuse more bad images than may be left out.

        Args:
            bad (Dict[str, str]): What is wrong, by path.
            images (int): Number of images in the data set.

        Raises:
            TooManyBadImagesError: The message names some of them.
        """
        if len(bad) > (limit := self.limit(images)):
            lines = '\n'.join(f'  {shown(path)}: {reason}' for path, reason in list(bad.items())[:5])
            more = f'\n  and {len(bad) - 5} more' if len(bad) > 5 else ''
            raise TooManyBadImagesError(
                f'{len(bad)} of {images} images are bad so far, and at most {limit} may be left out '
                f'(bad_images={self.policy!r}, max_bad_images={self.most}):\n{lines}{more}\n'
                f'Repair them, remove them, or allow more.'
            )

    def first_good(self, load: Callable[[int], dict], index: int, images: int, met: dict[str, str]) -> dict:
        """Load an image, or a replacement if it is bad.

        Args:
            load (Callable): From the number of an image to its sample; raises :class:`BadImageError`.
            index (int): The image.
            images (int): Number of images in the data set.
            met (Dict[str, str]): The bad images found so far, with reasons by path; this call adds to it.

        Returns:
            dict: The sample. If the image was bad, its data sample has ``bad_images``: what was wrong, by path. The
            main process gets it with the batch, see :func:`bad_images_of`.

        Raises:
            BadImageError: The policy is ``'raise'``.
            TooManyBadImagesError: This process alone has found more than may be left out.
        """
        bad: dict[str, str] = {}
        for place in _places(index, images):
            try:
                sample = load(place)
            except BadImageError as error:
                if self.policy == 'raise':
                    raise
                bad[error.path] = met[error.path] = error.reason
                self.require_few(met, images)  # also ends the search if no image is good
            else:
                if bad:
                    sample['data_samples'].set_metainfo(dict(bad_images=bad))
                return sample
        raise AssertionError('The places never end.')


def bad_images_of(batch: dict) -> list[dict[str, str]]:
    """Read the bad images that :meth:`BadImages.first_good` has noted in a batch.

    Args:
        batch (dict): Collated.

    Returns:
        List[Dict[str, str]]: For each sample what was wrong, by path; the requested image comes first. Empty if that
        image was good.
    """
    return [sample.get('bad_images', {}) for sample in batch.get('data_samples') or ()]


def report_text(path: str, reason: str) -> str:
    """Write the log line for a bad image.

    Args:
        path (str): The file.
        reason (str): What is wrong with it.

    Returns:
        str: A line.
    """
    return f'Bad image left out: {shown(path)}: {reason}.'


def count_text(bad: int, images: int) -> str:
    """Write the log line that counts bad images at the end.

    Args:
        bad (int): How many were left out.
        images (int): Number of images in the data set.

    Returns:
        str: A line.

    Examples:
        >>> count_text(0, 1200)
        'No image of 1200 was bad.'
    """
    if not bad:
        return f'No image of {images} was bad.'
    return f'{bad} of {images} images {"was" if bad == 1 else "were"} bad and left out.'


def _places(index: int, images: int) -> Iterator[int]:
    """Yield an image, then its replacements: drawn at random, so that the images of a bad folder get different ones."""
    yield index
    for attempt in count():
        yield int(np.random.SeedSequence((index, attempt)).generate_state(1)[0]) % images


@DATASETS.register_module()
class Images(CustomDataset):
    """mmpretrain's ``CustomDataset``, with a policy for images that cannot be used.

    Without ``ann_file``, the images are those that :func:`~mmlgd.datasets.folder.images_in` lists.

    Args:
        bad_images (str): ``'raise'`` stops at the first bad image; ``'skip'`` leaves up to ``max_bad_images`` out,
            and replaces each by another image, always the same one. Defaults to ``'raise'``.
        max_bad_images (int | float): How many may be left out: a number, or a share between 0 and 1. A share allows
            at least one image. At least one image must remain. Defaults to 0.01.
        extensions (Sequence[str]): Suffixes of the files that are images. Defaults to
            :data:`~mmlgd.utils.paths.IMAGE_SUFFIXES`.
        view (str, optional): The view of each image: ``'moco-v2'``, ``'moco-v2-crop'`` or ``'crop-flip'``, see
            :func:`~mmlgd.datasets.view_pipeline`. Defaults to None: ``pipeline`` decides.
        size (int): Side of the view in pixels. Defaults to 224.
        crop (Sequence[float]): Smallest and largest share of the area that a view shows. Defaults to (0.2, 1.0).
        pipeline (Sequence): Transforms, instead of ``view``, ``size`` and ``crop``. Defaults to none.
        **kwargs: Of ``mmpretrain.CustomDataset``. Begin the pipeline with ``mmlgd.LoadImageFromFile``: mmcv's own
            transform stops at a file that is not an image, whatever the policy, and may accept half an image.

    Raises:
        ValueError: The policy is unknown, or skips in evaluation (``test_mode=True``).
        MissingFileError: There is no such folder, or no image in it.
        UnreadableFolderError: A part of it may not be read.

    Examples:
        >>> dataset = dict(type='mmlgd.Images', data_root='images', with_label=False, bad_images='skip')
    """

    def __init__(
        self,
        *args,
        bad_images: str = 'raise',
        max_bad_images: Union[int, float] = 0.01,
        extensions: Sequence[str] = IMAGE_SUFFIXES,
        view: Optional[str] = None,
        size: int = 224,
        crop: Sequence[float] = (0.2, 1.0),
        pipeline: Sequence = (),
        **kwargs,
    ):
        self.bad_images = BadImages(bad_images, max_bad_images)
        self._met: dict[str, str] = {}
        if view is not None and not pipeline:
            pipeline = view_pipeline(view, size, crop)
        super().__init__(*args, extensions=extensions, pipeline=pipeline, **kwargs)
        if self.test_mode and bad_images == 'skip':
            raise ConfigError(
                "bad_images='skip' with test_mode=True: evaluation never skips images, because a score over a "
                "different set would be misleading. Evaluate with bad_images='raise'."
            )

    def __getitem__(self, idx: int) -> dict:
        """Load an image, or its replacement if it is bad and the policy is ``'skip'``.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.
        """
        return self.bad_images.first_good(self.load, idx, len(self), self._met)

    def load(self, idx: int) -> dict:
        """Load exactly this image.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.

        Raises:
            BadImageError: The image is bad.
        """
        return super().__getitem__(idx)

    def _find_samples(self) -> list:
        """List the images; with labels, only those in class folders.

        Labels follow the order of the folders' names, or that of ``classes`` where these are the folders with images.
        """
        if '://' in self.img_prefix:
            return super()._find_samples()
        if are_shards(self.img_prefix.rstrip('/')):
            raise ConfigError(
                f"{shown(self.data_root)} are tar shards. Give the data set type='mmlgd.ImageShards', for example by "
                f'--cfg-options train_dataloader.dataset.type=mmlgd.ImageShards.'
            )
        images = sorted(images_in(self.img_prefix, self.extensions))
        if self.with_label:
            images = self._labelled(images)
        if not images:
            endings = ', '.join(sorted(self.extensions))
            raise MissingFileError(
                f'No file in {shown(self.img_prefix)} or its sub-folders ends with {endings}. Give a folder of images.'
            )
        return images

    def _labelled(self, images: list[str]) -> list[tuple[str, int]]:
        places = (place for place in Path(self.img_prefix).iterdir() if place.is_dir())
        classes = sorted(place.name for place in places if not place.name.startswith('.'))  # as the images are listed
        parts = [(file, file.split(os.sep)) for file in images]
        filled = {part[0] for _, part in parts if len(part) > 1}
        empty = sorted({*classes} - filled)
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(classes)
        elif {*self.CLASSES} == filled:  # an empty folder is no class then, and moves no label
            classes = list(self.CLASSES)
        elif len(self.CLASSES) == len(classes):
            classes = folders_in_order(classes, self.CLASSES, shown(self.img_prefix))
        else:
            raise ConfigError(
                f'{shown(self.img_prefix)} has {len(classes)} class folders, but there are {len(self.CLASSES)} class '
                f'names. Give one name for each folder: the names of the folders, or others in their sorted order.'
            )
        self.folder_to_idx = {name: label for label, name in enumerate(classes)}
        labelled = [(file, self.folder_to_idx[part[0]]) for file, part in parts if len(part) > 1]
        if empty:
            names = ', '.join(map(shown, empty))
            MMLogger.get_current_instance().warning(
                f'No image in these class folders of {shown(self.img_prefix)}: {names}.'
            )
        return labelled
