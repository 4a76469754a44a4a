"""What a store keeps of the places of each view, beside the embedding of the view."""

import hashlib
import json
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor, nn

from mmlgd.errors import ConfigError
from mmlgd.models.place_names import BEST, best_names, usable_places
from mmlgd.models.places import to_grid

FORMS = ('embeddings', 'names')
MOST = 1024  # rows or columns of a grid
_NAME = np.dtype([('name', '<u2'), ('probability', '<f2')])
MOST_NAMES = 2**16


@dataclass(frozen=True)
class KeptNames:
    """The names by which places are kept.

    Attributes:
        count (int): K, how many class names there are.
        digest (str): Of the class names and their templates.
        temperature (float): The teacher's temperature, of which the probabilities are.
    """

    count: int
    digest: str
    temperature: float

    @classmethod
    def of(cls, loss: nn.Module, text: nn.Module) -> 'KeptNames':
        """Read them from the loss and the textual bank of a model.

        Raises:
            ConfigError: The loss needs more than names, see :meth:`~mmlgd.DistillationLoss.names_temperature`.
        """
        texts = json.dumps([text.class_names, text.templates])
        digest = hashlib.sha256(texts.encode(errors='surrogateescape')).hexdigest()[:16]
        return cls(len(text.class_names), digest, loss.names_temperature())


@dataclass(frozen=True)
class KeptPlaces:
    """The places in a store: how many of each view, and what is kept of each.

    Attributes:
        grid (Tuple[int, int]): h and w.
        embed_dim (int): D of the teacher.
        names (KeptNames, optional): Keep the most likely of these names of each place. None: its embedding.
    """

    grid: tuple[int, int]
    embed_dim: int
    names: Optional[KeptNames] = None

    @classmethod
    def of(cls, description: dict) -> Optional['KeptPlaces']:
        """Read them from the content of ``store.json``; None for a store without places."""
        told = description.get('places')
        if not told:
            return None
        names = KeptNames(**told['names']) if told['form'] == 'names' else None
        return cls(tuple(told['grid']), description['teacher']['embed_dim'], names)

    def told(self) -> dict:
        """Describe them for ``store.json``."""
        names = dict(names=asdict(self.names)) if self.names else {}
        return dict(grid=list(self.grid), form=self.form, **names)

    @property
    def form(self) -> str:
        """str: ``'embeddings'`` or ``'names'``."""
        return FORMS[self.names is not None]

    @property
    def options(self) -> list[str]:
        """List[str]: Options of ``mmlgd store`` that keep the same."""
        return ['--places', '{}x{}'.format(*self.grid), '--places-form', self.form]

    @property
    def shape(self) -> tuple[int, ...]:
        """Tuple[int, ...]: What is kept of one view: (h, w, D), or (h, w, M) names."""
        return (*self.grid, min(BEST, self.names.count) if self.names else self.embed_dim)

    @property
    def dtype(self) -> np.dtype:
        """np.dtype: Float16; or a name, its number as uint16 and its probability as float16."""
        return _NAME if self.names else np.dtype(np.float16)

    def rows_of(self, places: Tensor, bank: Tensor) -> np.ndarray:
        """Bring places of the teacher to what is kept.

        Args:
            places (Tensor): (N, h', w', D), unit rows.
            bank (Tensor): (K, D), embeddings of the class names.

        Returns:
            np.ndarray: (N, h, w, D) float16, or (N, h, w, M) names.
        """
        places = to_grid(places, self.grid)
        if not self.names:
            return places.half().cpu().numpy()
        best = best_names(places, bank, self.names.temperature).cpu().numpy()
        rows = np.empty(best.shape[:-1], self.dtype)
        rows['name'], rows['probability'] = best[..., 0], best[..., 1]
        return rows

    def tensor_of(self, rows: np.ndarray) -> Tensor:
        """Bring what is kept to what a loss takes.

        Args:
            rows (np.ndarray): Of :meth:`rows_of`; any number of axes before.

        Returns:
            Tensor: (..., h, w, D) float16, or (..., h, w, M, 2) float32 names, see
            :func:`~mmlgd.models.place_names.best_names`.
        """
        if not self.names:
            return torch.from_numpy(rows.copy())
        return torch.from_numpy(np.stack([rows['name'], rows['probability']], axis=-1).astype(np.float32))

    def usable(self, rows: np.ndarray) -> np.ndarray:
        """Check for each view that all of its places are embeddings of about unit length, or names that there are.

        Args:
            rows (np.ndarray): (N, h, w, D), see :meth:`rows_of`.

        Returns:
            np.ndarray: (N,) bool.
        """
        known = (rows['name'] < self.names.count).all(axis=(1, 2, 3)) if self.names else True
        # View by view: a shard can fill much of the memory, and this takes a copy.
        return known & np.array([bool(usable_places(self.tensor_of(one)[None]).all()) for one in rows])

    def check(self, loss: nn.Module, text: nn.Module) -> None:
        """Refuse a loss that needs more than what is kept, or other names.

        Args:
            loss (nn.Module): The list of terms of a model.
            text (nn.Module): Its textual bank.

        Raises:
            ConfigError: Names are kept, and a term needs embeddings; or the names or their temperature are others, the
                message says which.
        """
        if not self.names:
            return
        here, found = KeptNames.of(loss, text), ''
        if here.temperature != self.names.temperature:
            found = f'at the teacher_temperature {self.names.temperature:g}, and this run has {here.temperature:g}'
        elif here != self.names:
            found = f'of {self.names.count} class names, and this run has {here.count} others, or other templates'
        if found:
            raise ConfigError(
                f'The store keeps names of places {found}. Use the settings that it was written with, or write another '
                f'store with mmlgd store --places-form names, or embeddings, which go with any names.'
            )


def are_kept_places(value: Any) -> bool:
    """Check the entry ``places`` of ``store.json``: None, or a grid and a form, and names for names."""
    if value is None:
        return True
    grid, form = (value.get('grid'), value.get('form')) if isinstance(value, dict) else (None, None)
    sides = isinstance(grid, list) and len(grid) == 2 and all(type(x) is int and 0 < x <= MOST for x in grid)
    return sides and (form == 'embeddings' or form == 'names' and _are_names(value.get('names')))


def _are_names(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {'count', 'digest', 'temperature'}:
        return False
    count, digest, temperature = (value[key] for key in ('count', 'digest', 'temperature'))
    is_count = type(count) is int and 0 < count <= MOST_NAMES
    return is_count and isinstance(digest, str) and isinstance(temperature, Real) and 0 < temperature < 1e6
