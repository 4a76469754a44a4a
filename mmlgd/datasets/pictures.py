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
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .folder import images_in
from .loading import BadPictureError
from .views import view_pipeline

POLICIES = ('raise', 'skip')


class TooManyBadPicturesError(MMLGDError, ValueError):
    """More images of a data set are bad than may be left out."""


class BadPictures:
    """What becomes of a data set's bad images.

    Args:
        policy (str): ``'raise'`` stops at the first; ``'skip'`` puts another image in its place, always the same one.
            Defaults to ``'raise'``.
        most (int | float): How many may be left out: a number, or a share between 0 and 1 of the data set, of which at
            least one and never all may be. Defaults to 0.01.

    Raises:
        ValueError: An unknown policy, or ``most`` is neither a number nor a share.

    Examples:
        >>> from mmlgd.datasets.pictures import BadPictures
        >>> BadPictures('skip', 0.01).limit(1200)
        12
    """

    def __init__(self, policy: str = 'raise', most: Union[int, float] = 0.01):
        if policy not in POLICIES:
            raise ConfigError(f'bad_pictures is one of {POLICIES}, got {policy!r}.')
        is_number = isinstance(most, (int, float)) and not isinstance(most, bool)
        if not is_number or not (0 < most < 1 or (most >= 1 and most == int(most))):
            raise ConfigError(f'max_bad_pictures is a number of images or a share between 0 and 1, got {most!r}.')
        self.policy = policy
        self.most = most

    def limit(self, pictures: int) -> int:
        """Say how many may be left out.

        Args:
            pictures (int): In the data set.

        Returns:
            int: Fewer than there are; 0 if the policy is ``'raise'``.
        """
        if self.policy == 'raise':
            return 0
        allowed = int(self.most) if self.most >= 1 else max(1, int(self.most * pictures))
        return min(allowed, pictures - 1)

    def require_few(self, bad: dict[str, str], pictures: int) -> None:
        """Refuse more bad images than may be left out.

        Args:
            bad (Dict[str, str]): What is wrong, by path.
            pictures (int): In the data set.

        Raises:
            TooManyBadPicturesError: The message names some of them.
        """
        if len(bad) > (limit := self.limit(pictures)):
            lines = '\n'.join(f'  {shown(path)}: {reason}' for path, reason in list(bad.items())[:5])
            more = f'\n  and {len(bad) - 5} more' if len(bad) > 5 else ''
            raise TooManyBadPicturesError(
                f'{len(bad)} of {pictures} images are bad so far, and at most {limit} may be left out '
                f'(bad_pictures={self.policy!r}, max_bad_pictures={self.most}):\n{lines}{more}\n'
                f'Mend them or take them out of the folder, or allow more.'
            )

    def first_good(self, load: Callable[[int], dict], index: int, pictures: int, met: dict[str, str]) -> dict:
        """Load an image, or one in its place.

        Args:
            load (Callable): From the number of an image to its sample; raises :class:`BadPictureError`.
            index (int): The image.
            pictures (int): In the data set.
            met (Dict[str, str]): What was wrong with the bad images met by now, by path; grows.

        Returns:
            dict: The sample. If the image was bad, its data sample has ``bad_pictures``: what was wrong, by path. So
            the news travels to the main process with the batch, see :func:`bad_pictures_of`.

        Raises:
            BadPictureError: The policy is ``'raise'``.
            TooManyBadPicturesError: This process alone has met more than may be left out.
        """
        bad: dict[str, str] = {}
        for place in _places(index, pictures):
            try:
                sample = load(place)
            except BadPictureError as error:
                if self.policy == 'raise':
                    raise
                bad[error.path] = met[error.path] = error.reason
                self.require_few(met, pictures)  # also the end of the search, where none is good
            else:
                if bad:
                    sample['data_samples'].set_metainfo(dict(bad_pictures=bad))
                return sample
        raise AssertionError('The places never end.')


def bad_pictures_of(batch: dict) -> list[dict[str, str]]:
    """Read what :meth:`BadPictures.first_good` has left in a batch.

    Args:
        batch (dict): Collated.

    Returns:
        List[Dict[str, str]]: For each sample what was wrong, by path, the image that was asked for first; empty where
        that one was good.
    """
    return [sample.get('bad_pictures', {}) for sample in batch.get('data_samples') or ()]


def report_text(path: str, reason: str) -> str:
    """Write what a log says of a bad image.

    Args:
        path (str): The file.
        reason (str): What is wrong with it.

    Returns:
        str: A line.
    """
    return f'Bad image left out: {shown(path)}: {reason}.'


def count_text(bad: int, pictures: int) -> str:
    """Write what a log says of bad images when all is done.

    Args:
        bad (int): How many were left out.
        pictures (int): In the data set.

    Returns:
        str: A line.

    Examples:
        >>> count_text(0, 1200)
        'No image of 1200 was bad.'
    """
    if not bad:
        return f'No image of {pictures} was bad.'
    return f'{bad} of {pictures} images {"was" if bad == 1 else "were"} bad and left out.'


def _places(index: int, pictures: int) -> Iterator[int]:
    """An image, and those that may stand in for it: drawn, so that not all of a bad folder have the same one."""
    yield index
    for attempt in count():
        yield int(np.random.SeedSequence((index, attempt)).generate_state(1)[0]) % pictures


@DATASETS.register_module()
class Pictures(CustomDataset):
    """mmpretrain's ``CustomDataset``, with a policy for images that cannot be used.

    Without ``ann_file``, the images are those that :func:`~mmlgd.datasets.folder.images_in` lists.

    Args:
        bad_pictures (str): ``'raise'`` stops at the first; ``'skip'`` leaves them out, up to ``max_bad_pictures``:
            another image takes the place, always the same one. Defaults to ``'raise'``.
        max_bad_pictures (int | float): How many may be left out: a number, or a share between 0 and 1 (of which at
            least one and never all may be). Defaults to 0.01.
        extensions (Sequence[str]): Suffixes of the files that are images. Defaults to
            :data:`~mmlgd.utils.paths.IMAGE_SUFFIXES`.
        view (str, optional): What is made of an image: ``'moco-v2'``, ``'moco-v2-crop'`` or ``'crop-flip'``, see
            :func:`~mmlgd.datasets.view_pipeline`. Defaults to None: ``pipeline`` says it.
        size (int): Side of the view in pixels. Defaults to 224.
        crop (Sequence[float]): Smallest and largest share of the area that a view shows. Defaults to (0.2, 1.0).
        pipeline (Sequence): Transforms, in the place of ``view``, ``size`` and ``crop``. Defaults to none.
        **kwargs: Of ``mmpretrain.CustomDataset``. The pipeline begins with ``mmlgd.LoadImageFromFile``: mmcv's own
            stops at a file that is no image, whatever the policy, and may take half an image for a whole one.

    Raises:
        ValueError: The policy is unknown, or skips in evaluation (``test_mode=True``).
        MissingFileError: There is no such folder, or no image in it.
        UnreadableFolderError: A part of it may not be read.

    Examples:
        >>> dataset = dict(type='mmlgd.Pictures', data_root='pictures', with_label=False, bad_pictures='skip')
    """

    def __init__(
        self,
        *args,
        bad_pictures: str = 'raise',
        max_bad_pictures: Union[int, float] = 0.01,
        extensions: Sequence[str] = IMAGE_SUFFIXES,
        view: Optional[str] = None,
        size: int = 224,
        crop: Sequence[float] = (0.2, 1.0),
        pipeline: Sequence = (),
        **kwargs,
    ):
        self.bad_pictures = BadPictures(bad_pictures, max_bad_pictures)
        self._met: dict[str, str] = {}
        if view is not None and not pipeline:
            pipeline = view_pipeline(view, size, crop)
        super().__init__(*args, extensions=extensions, pipeline=pipeline, **kwargs)
        if self.test_mode and bad_pictures == 'skip':
            raise ConfigError(
                "bad_pictures='skip' with test_mode=True: evaluation never skips images, since a score over a "
                "different set would be misleading. Evaluate with bad_pictures='raise'."
            )

    def __getitem__(self, idx: int) -> dict:
        """Load an image, or, if it is bad and the policy skips, another one in its place.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.
        """
        return self.bad_pictures.first_good(self.load, idx, len(self), self._met)

    def load(self, idx: int) -> dict:
        """Load exactly this image.

        Args:
            idx (int): The image.

        Returns:
            dict: What the pipeline packs.

        Raises:
            BadPictureError: It is bad.
        """
        return super().__getitem__(idx)

    def _find_samples(self) -> list:
        """List the images; with labels, those of the class folders, which are numbered in the order of their names."""
        if '://' in self.img_prefix:
            return super()._find_samples()
        images = sorted(images_in(self.img_prefix, self.extensions))
        if self.with_label:
            images = self._labelled(images)
        if not images:
            endings = ', '.join(sorted(self.extensions))
            raise MissingFileError(f'No file in {shown(self.img_prefix)} or its sub-folders ends with {endings}.')
        return images

    def _labelled(self, images: list[str]) -> list[tuple[str, int]]:
        classes = sorted(place.name for place in Path(self.img_prefix).iterdir() if place.is_dir())
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(classes)
        elif len(self.CLASSES) != len(classes):
            raise ConfigError(
                f'{shown(self.img_prefix)} has {len(classes)} class folders, and there are {len(self.CLASSES)} class '
                f'names. Give one name for each folder, in the order of the sorted folders.'
            )
        self.folder_to_idx = {name: label for label, name in enumerate(classes)}
        parts = [(file, file.split(os.sep)) for file in images]
        labelled = [(file, self.folder_to_idx[part[0]]) for file, part in parts if len(part) > 1]
        if empty := set(classes) - {part[0] for _, part in parts}:
            names = ', '.join(map(shown, sorted(empty)))
            MMLogger.get_current_instance().warning(
                f'No image in these class folders of {shown(self.img_prefix)}: {names}.'
            )
        return labelled
