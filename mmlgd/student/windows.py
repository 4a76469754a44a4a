"""Windows: how an image of any size is brought to a tower that was trained at one size."""

import math
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor

from mmlgd.datasets.sizes import LARGEST
from mmlgd.errors import ConfigError
from mmlgd.utils.validation import whole

_WHOLE = 1024 * 1024  # pixels of a resized image that is embedded at once, where the tower takes any size


class Tower(NamedTuple):
    """What gives the places of images: a student or a teacher.

    Attributes:
        encode (Callable): Maps (N, 3, H, W) to unit places (N, h, w, D).
        size (Tuple[int, int]): Height and width in pixels that it was trained with.
        grid (Tuple[int, int]): h and w at this size.
        cell (Tuple[float, float]): Height and width of a place in pixels; whole where the tower takes any size.
        takes_any_size (bool): Whether larger images give more places; if not, it is shown windows of its own size.
    """

    encode: Callable[[Tensor], Tensor]
    size: tuple[int, int]
    grid: tuple[int, int]
    cell: tuple[float, float]
    takes_any_size: bool


@torch.no_grad()
def find_tower(encode: Callable[[Tensor], Tensor], size: tuple[int, int], like: Tensor) -> Tower:
    """Find out by a few passes of zeros how large a place is, and whether other image sizes are possible.

    Args:
        encode (Callable): Maps (N, 3, H, W) to unit places (N, h, w, D).
        size (Tuple[int, int]): Height and width in pixels of its training.
        like (Tensor): A tensor on its device.

    Returns:
        Tower: The tower.

    Examples:
        >>> import torch
        >>> found = find_tower(lambda x: x[:, :, ::16, ::16].permute(0, 2, 3, 1), (64, 64), torch.zeros(1))
        >>> found.grid, found.cell, found.takes_any_size
        ((4, 4), (16, 16), True)
    """
    grid = tuple(encode(like.new_zeros(1, 3, *size)).shape[1:3])
    larger = grid[0] + 1, 2 * grid[1] + 3  # a wrong guess may fit a few places more, and not twice as many
    for cell in zip(*map(_cells, size, grid)):
        try:
            got = tuple(encode(like.new_zeros(1, 3, *pixels_of(larger, cell))).shape[1:3])
        except torch.OutOfMemoryError:  # says nothing about the model
            raise
        except Exception:  # each library has its own error for a size that its model does not support
            continue
        if got == larger:
            return Tower(encode, size, grid, cell, True)
    return Tower(encode, size, grid, tuple(s / n for s, n in zip(size, grid)), False)


def pixels_of(grid: tuple[int, int], cell: tuple[float, float]) -> tuple[int, int]:
    """Compute the height and width in pixels of a grid of places."""
    return tuple(round(n * c) for n, c in zip(grid, cell))


class Windows:
    """How images are shown to a tower: resized by their aspect ratio, and cut into overlapping windows.

    As in mmsegmentation's sliding inference, windows lie one stride apart, and the last of a row ends with the image.
    Sizes are rounded to whole places, so that the places of all windows lie on one grid.

    Args:
        tower (Tower): The tower.
        size (int, optional): Pixels of the short side of a resized image. Defaults to None: the tower's own size.
        window (int, optional): Height and width of a window in pixels. Defaults to None: the whole image at once where
            the tower takes any size and the resized image has at most 1024 x 1024 pixels, else the tower's own size.
        stride (int, optional): Pixels from window to window; only with a window, or where the tower takes one size
            alone. Defaults to None: two thirds of the window.

    Raises:
        ConfigError: A number is out of its range, or the tower cannot take such windows.
    """

    def __init__(
        self, tower: Tower, size: Optional[int] = None, window: Optional[int] = None, stride: Optional[int] = None
    ):
        own = min(tower.size)
        self.tower = tower
        self.size = own if size is None else whole('size', 1, LARGEST)(size)
        self.window = None if window is None else whole('window', 1, LARGEST)(window)
        self.stride = None if stride is None else whole('stride', 1, LARGEST)(stride)
        if not tower.takes_any_size and (self.size < own or self.window not in (None, own)):
            raise ConfigError(
                f'This backbone takes images of {tower.size[0]} x {tower.size[1]} pixels alone, got size={size} and '
                f'window={window}. Give a size of {own} or more, and leave window out.'
            )
        seen = own if not tower.takes_any_size else self.window
        if self.stride and not seen:
            raise ConfigError(
                f'A stride of {stride} pixels lies between windows, and the whole image is seen at once. Give a window '
                f"too, for example {own}, the student's own size, or leave stride out."
            )
        if self.stride and self.stride > seen:
            raise ConfigError(
                f'A stride of {stride} pixels would leave gaps between windows of {seen}. Give a smaller stride.'
            )

    def grid_of(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Choose the grid of places for an image.

        Args:
            shape (Tuple[int, int]): Height and width of the image in pixels.

        Returns:
            Tuple[int, int]: Rows and columns of places.

        Raises:
            ConfigError: The resized image would fill the memory: it is a long strip, or the size is too large.
        """
        own = min(self.tower.size)
        scale = max(self.size / own * side / pixels for side, pixels in zip(self.tower.size, shape))
        least = (1, 1) if self.tower.takes_any_size else self.tower.grid
        grid = tuple(
            max(fewest, round(pixels * scale / cell)) for pixels, cell, fewest in zip(shape, self.tower.cell, least)
        )
        if math.prod(resized := pixels_of(grid, self.tower.cell)) > LARGEST**2:
            raise ConfigError(
                f'An image of {shape[0]} x {shape[1]} pixels would be resized to {resized[0]} x {resized[1]}, for a '
                f'short side of {self.size}. Give a smaller size, or cut the image into parts.'
            )
        return grid

    def boxes(self, grid: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
        """Lay windows over a grid.

        Args:
            grid (Tuple[int, int]): From :meth:`grid_of`.

        Yields:
            Tuple[slice, slice]: Rows and columns of places of each window.
        """
        ranges = [list(_starts(n, extent, step)) for n, extent, step in zip(grid, self._extent(grid), self._step(grid))]
        yield from ((rows, columns) for rows in ranges[0] for columns in ranges[1])

    def _extent(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a window in places."""
        height, width = pixels_of(grid, self.tower.cell)
        if self.window is not None and self.tower.takes_any_size:
            wanted = tuple(max(1, round(self.window / cell)) for cell in self.tower.cell)
        elif self.tower.takes_any_size and height * width <= _WHOLE:
            return grid
        else:
            wanted = self.tower.grid
        return tuple(map(min, wanted, grid))

    def _step(self, grid: tuple[int, int]) -> tuple[int, int]:
        if self.stride is None:
            return tuple(max(1, round(2 * n / 3)) for n in self._extent(grid))
        return tuple(min(n, max(1, round(self.stride / cell))) for n, cell in zip(self._extent(grid), self.tower.cell))


def _starts(total: int, extent: int, step: int) -> Iterator[slice]:
    for i in range(-(-(total - extent) // step) + 1):
        start = min(i * step, total - extent)
        yield slice(start, start + extent)


def _cells(size: int, places: int) -> tuple[int, int, int]:
    """Guess the pixels of a place: a power of two, as a network halves images and rounds up or down, or a patch."""
    least, most = max(1, size // places), -(-size // places)
    return 1 << (most - 1).bit_length(), 1 << (least.bit_length() - 1), least
