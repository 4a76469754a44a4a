"""What a store keeps of the places of each view, beside the embedding of the view."""

import re
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from mmlgd.errors import ConfigError, brief
from mmlgd.models.places import to_grid
from mmlgd.models.teachers import BaseTeacher
from mmlgd.models.teachers.base import no_places
from mmlgd.utils.numerics import usable_rows

_MOST = 1024  # rows or columns of a grid
OWN = 'own'  # stands for the grid of the teacher


@dataclass(frozen=True)
class KeptPlaces:
    """The places in a store: how many of each view, and what is kept of each.

    Attributes:
        grid (Tuple[int, int]): h and w.
        embed_dim (int): D of the teacher.
    """

    grid: tuple[int, int]
    embed_dim: int

    @classmethod
    def of(cls, description: dict) -> Optional['KeptPlaces']:
        """Read them from the content of ``store.json``; None for a store without places."""
        told = description.get('places')
        return told and cls(tuple(told['grid']), description['teacher']['embed_dim'])

    def told(self) -> dict:
        """Describe them for ``store.json``."""
        return dict(grid=list(self.grid), form='embeddings')

    @property
    def options(self) -> list[str]:
        """List[str]: Options of ``mmlgd store`` that keep the same."""
        return ['--places', '{}x{}'.format(*self.grid)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Tuple[int, ...]: What is kept of one view."""
        return (*self.grid, self.embed_dim)

    def rows_of(self, places: Tensor) -> np.ndarray:
        """Bring places of the teacher to what is kept.

        Args:
            places (Tensor): (N, h', w', D), unit rows.

        Returns:
            np.ndarray: (N, h, w, D) float16.
        """
        return to_grid(places, self.grid).half().cpu().numpy()

    def usable(self, rows: np.ndarray) -> np.ndarray:
        """Check for each view that all of its places have about unit length.

        Args:
            rows (np.ndarray): (N, h, w, D) float16.

        Returns:
            np.ndarray: (N,) bool.
        """
        return usable_rows(torch.from_numpy(rows)).flatten(1).all(dim=1).numpy()


def are_kept_places(value: Any) -> bool:
    """Check the entry ``places`` of ``store.json``: None, or a grid and a form."""
    if value is None:
        return True
    grid = value.get('grid') if isinstance(value, dict) else None
    sides = isinstance(grid, list) and len(grid) == 2 and all(type(x) is int and 0 < x <= _MOST for x in grid)
    return sides and value.get('form') == 'embeddings'


def check_grid(places: str) -> None:
    """Refuse a grid that cannot be read.

    Args:
        places (str): ``'7x7'``, or ``'own'`` for the grid of the teacher.

    Raises:
        ConfigError: It is neither.
    """
    _grid_of(places)


def kept_places(places: str, teacher: BaseTeacher) -> KeptPlaces:
    """Decide what a store keeps of the places of a teacher.

    Args:
        places (str): The grid, see :func:`check_grid`.
        teacher (BaseTeacher): The teacher.

    Returns:
        KeptPlaces: With the grid in numbers.

    Raises:
        ConfigError: The grid cannot be read.
        TeacherError: The teacher has no places.
    """
    grid = _grid_of(places)
    if not teacher.has_places:
        raise no_places(teacher.tower_name)
    if grid is None:  # a teacher brings images of any size to its own
        image = torch.zeros(1, 3, *teacher.image_size, device=teacher.mean.device)
        grid = tuple(teacher.encode_places(image).shape[1:3])
    return KeptPlaces(grid, teacher.embed_dim)


def _grid_of(places: str) -> Optional[tuple[int, int]]:
    if places == OWN:
        return None
    found = re.fullmatch(r'(\d{1,4})x(\d{1,4})', places)
    grid = tuple(map(int, found.groups())) if found else (0, 0)
    if not all(0 < side <= _MOST for side in grid):
        raise ConfigError(
            f'--places: expected rows x columns such as 7x7, up to {_MOST}x{_MOST}, or {OWN} for the grid of the '
            f'teacher; got {brief(places)!r}.'
        )
    return grid
