"""Bad images: what is wrong with one, how many may be left out, and the lines that say so."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Optional, Union

import numpy as np

from mmlgd.errors import ConfigError, MMLGDError, shown

POLICIES = ('raise', 'skip')
NOT_IN_EVALUATION = 'evaluation never skips images, because a score over a different set would be misleading.'


class BadImageError(MMLGDError, ValueError):
    """A file that is not an image, or not a complete one.

    Args:
        message (str): For the user.
        path (str): The file. Defaults to '', if it is unknown: an error in a data loader's process keeps only its
            message.
        reason (str): What is wrong with it. Defaults to ``message``.
    """

    def __init__(self, message: str, path: str = '', reason: str = ''):
        super().__init__(message)
        self.path = path
        self.reason = reason or message

    @classmethod
    def of(cls, path: str, reason: str) -> 'BadImageError':
        """Write the message.

        Args:
            path (str): The file.
            reason (str): What is wrong with it.

        Returns:
            BadImageError: The error to raise.
        """
        return cls(
            f'The image {shown(path)} cannot be used: {reason}. Repair it or remove it; pre-training '
            f"can leave such images out (train_dataloader.dataset.bad_images='skip'), and so can "
            f"mmlgd.LoadImageFromFile in the training of another model (bad_images='skip').",
            path,
            reason,
        )


class TooManyBadImagesError(MMLGDError, ValueError):
    """A data set has more bad images than may be left out."""


def skips_in_evaluation(where: str) -> ConfigError:
    """Make the error for an evaluation whose pipeline leaves bad images out.

    Args:
        where (str): Its data set or loader, for the message.

    Returns:
        ConfigError: The error to raise.
    """
    return ConfigError(
        f"{where} has mmlgd.LoadImageFromFile with bad_images='skip': {NOT_IN_EVALUATION} Leave bad_images out of its "
        f'pipeline.'
    )


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
        >>> from mmlgd.datasets.bad_images import BadImages
        >>> BadImages('skip', 0.01).limit(1200)
        12
    """

    def __init__(self, policy: str = 'raise', most: Union[int, float] = 0.01):
        if policy not in POLICIES:
            raise ConfigError(f'bad_images is one of {POLICIES}, got {policy!r}.')
        is_number = isinstance(most, (int, float)) and not isinstance(most, bool)
        if not is_number or not (0 < most < 1 or (most >= 1 and most % 1 == 0)):
            raise ConfigError(f'max_bad_images is a number of images or a share between 0 and 1, got {most!r}.')
        self.policy = policy
        self.most = most

    def limit(self, images: Optional[int]) -> int:
        """Return how many images may be left out.

        Args:
            images (int, optional): Number of images in the data set. None: unknown, and ``most`` is a number.

        Returns:
            int: Fewer than all; 0 if the policy is ``'raise'``.
        """
        if self.policy == 'raise':
            return 0
        if images is None:
            return int(self.most)
        allowed = int(self.most) if self.most >= 1 else max(1, int(self.most * images))
        return min(allowed, images - 1)

    def require_few(self, bad: dict[str, str], images: Optional[int]) -> None:
        """Refuse more bad images than may be left out.

        Args:
            bad (Dict[str, str]): What is wrong, by path.
            images (int, optional): See :meth:`limit`.

        Raises:
            TooManyBadImagesError: The message names some of them.
        """
        if len(bad) > (limit := self.limit(images)):
            lines = '\n'.join(f'  {shown(path)}: {reason}' for path, reason in list(bad.items())[:5])
            more = f'\n  and {len(bad) - 5} more' if len(bad) > 5 else ''
            counted = f'{len(bad)}' if images is None else f'{len(bad)} of {images}'
            raise TooManyBadImagesError(
                f'{counted} images are bad so far, and at most {limit} may be left out '
                f'(bad_images={self.policy!r}, max_bad_images={self.most}):\n{lines}{more}\n'
                f'Repair them, remove them, or give a larger max_bad_images.'
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
