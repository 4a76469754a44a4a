"""How pixels become a student's input: the order of their channels, and the statistics that normalise them."""

from pathlib import Path
from typing import NamedTuple, Union

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.errors import brief

# Images are loaded as BGR, so each of these reverses them to RGB; which one a preprocessor has depends on its library.
_REVERSES = ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr')


class Pixels(NamedTuple):
    """What a preprocessor does to pixels of 0 to 255: (pixel - mean) / std.

    Attributes:
        order (str): ``'RGB'`` or ``'BGR'``, of the channels of mean and std.
        mean (List[float]): One for each channel.
        std (List[float]): Likewise.
    """

    order: str
    mean: list[float]
    std: list[float]

    def __str__(self) -> str:
        return f'{self.order}, mean {self.mean}, std {self.std}'


def pixels_of(preprocessor: dict, source: Union[str, Path]) -> Pixels:
    """Read a data preprocessor's settings.

    Args:
        preprocessor (dict): Settings of a data preprocessor of any OpenMMLab library; it may be empty.
        source (str | Path): Where they are from, for the error.

    Returns:
        Pixels: Without statistics, pixels stay as they are: mean 0, std 1.

    Raises:
        CheckpointError: The statistics are not one number for each channel.

    Examples:
        >>> str(pixels_of(dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True), 'a.pth'))
        'RGB, mean [127.5, 127.5, 127.5], std [127.5, 127.5, 127.5]'
    """
    order = 'RGB' if any(preprocessor.get(key) for key in _REVERSES) else 'BGR'
    told = []
    for key, untouched in (('mean', 0.0), ('std', 1.0)):
        values = preprocessor.get(key) or [untouched] * 3
        is_some = isinstance(values, (list, tuple)) and len(values) <= 4
        if not is_some or not all(isinstance(value, (int, float)) and abs(value) < 1e30 for value in values):
            raise CheckpointError(f'{source} has {key}={brief(values)}, expected a finite number for each channel.')
        told.append([float(value) for value in values])
    return Pixels(order, *told)
