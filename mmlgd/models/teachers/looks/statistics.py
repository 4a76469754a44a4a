"""Mean and scale of a network's features: measured once on a run's images, and kept as a setting of the teacher."""

import base64
import binascii
from collections.abc import Iterable
from typing import NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers.base import TeacherError

FEWEST = 16  # images; the scale of a dimension would be a guess with fewer
_CONSTANT = 1e-6  # of a dimension's size: less is rounding


class Statistics(NamedTuple):
    """Mean and standard deviation of each dimension.

    Attributes:
        mean (Tensor): (C,) float32, of images.
        std (Tensor): (C,) float32, likewise.
        places_mean (Tensor, optional): (C,) float32, of places. None if a network's mean over places is its image:
            these share the statistics, so that this holds afterwards, too.
        places_std (Tensor, optional): Likewise.
    """

    mean: Tensor
    std: Tensor
    places_mean: Optional[Tensor] = None
    places_std: Optional[Tensor] = None

    def text(self) -> str:
        """Write them as one word, a setting that any config can hold.

        Returns:
            str: Base64 of the float32 numbers, with ``-`` and ``_``.
        """
        rows = torch.stack([row for row in self if row is not None]).cpu().numpy()
        return base64.urlsafe_b64encode(rows.astype('<f4').tobytes()).decode()

    @classmethod
    def read(cls, text: str, channels: int, with_places: bool) -> 'Statistics':
        """Read them from a setting, which may come from somebody else.

        Args:
            text (str): Of :meth:`text`.
            channels (int): C of the network.
            with_places (bool): Whether its places have statistics of their own.

        Returns:
            Statistics: As they were written.

        Raises:
            TeacherError: They are damaged, or of another network.
        """
        count = (4 if with_places else 2) * channels
        try:
            numbers = np.frombuffer(base64.b64decode(text, '-_', validate=True), '<f4')
        except (binascii.Error, ValueError):
            numbers = np.empty(0)
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise TeacherError(
                f'The statistics of the looks are {len(numbers)} numbers, expected {count} finite ones for {channels} '
                f'dimensions: they are damaged, or of another network. Leave them out: a run measures its own.'
            )
        return cls(*torch.from_numpy(numbers.astype(np.float32)).view(-1, channels))


def measure(found: Iterable[Embedded]) -> Statistics:
    """Measure the statistics of features.

    Args:
        found (Iterable[Embedded]): Features of batches of images, (N, C); with places, (N, h, w, C), if these have
            statistics of their own.

    Returns:
        Statistics: Of all images together, and of all places together.

    Raises:
        TeacherError: There are fewer than 16 images, features are not finite, or they are the same for all images.
    """
    images, places = _Moments(), _Moments()
    for one in found:
        images.add(one.image)
        if one.places is not None:
            places.add(one.places.flatten(0, 2))
    if images.count < FEWEST:
        raise TeacherError(
            f'The statistics of the looks need a few hundred images, and at least {FEWEST}; got {images.count}. Give '
            f'more images.'
        )
    statistics = Statistics(*images.result(), *(places.result() if places.count else ()))
    for name, row in statistics._asdict().items():
        if row is not None and not (row.isfinite().all() and (name.endswith('mean') or row.any())):
            raise TeacherError(
                f'The looks have no usable statistics: {name} of their features is NaN, infinite, or 0 in all '
                f'dimensions. Their weights are broken, or all images are the same.'
            )
    return statistics


def scale_of(mean: Tensor, std: Tensor) -> Tensor:
    """Invert standard deviations; a dimension that is constant up to rounding says nothing, and gets 0.

    Args:
        mean (Tensor): (C,).
        std (Tensor): (C,).

    Returns:
        Tensor: (C,), finite.

    Examples:
        >>> scale_of(torch.tensor([1.0, 5.0]), torch.tensor([0.5, 0.0]))
        tensor([2., 0.])
    """
    is_constant = std <= _CONSTANT * (mean.abs() + std.max())
    return torch.where(is_constant, 0.0, 1 / std.masked_fill(is_constant, 1.0))


class _Moments:
    """Sums of rows in float64."""

    def __init__(self):
        self.count, self.sum, self.squares = 0, 0.0, 0.0

    def add(self, rows: Tensor) -> None:
        rows = rows.double().cpu()
        self.count += len(rows)
        self.sum, self.squares = self.sum + rows.sum(0), self.squares + (rows**2).sum(0)

    def result(self) -> tuple[Tensor, Tensor]:
        mean = self.sum / self.count
        return mean.float(), (self.squares / self.count - mean**2).clamp(min=0).sqrt().float()
