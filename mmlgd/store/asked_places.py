"""The options of ``mmlgd store`` that ask for places."""

import re
from typing import Optional

import torch
from torch import nn

from mmlgd.errors import ConfigError, brief
from mmlgd.models.teachers import BaseTeacher
from mmlgd.models.teachers.base import no_places
from mmlgd.utils.validation import require

from .places import FORMS, MOST, MOST_NAMES, KeptNames, KeptPlaces

OWN = 'own'  # stands for the grid of the teacher


def check_places(places: Optional[str], form: Optional[str]) -> None:
    """Refuse a grid or a form that cannot be read.

    Args:
        places (str, optional): ``'7x7'``, or ``'own'`` for the grid of the teacher. None: no places.
        form (str, optional): ``'embeddings'`` or ``'names'``. None: embeddings.

    Raises:
        ConfigError: One of them is something else, or there is a form and no grid.
    """
    require(form in (None, *FORMS), f'--places-form: expected {" or ".join(FORMS)}, got {brief(form)!r}.')
    if places is None:
        require(form is None, f'--places-form {form} needs a grid: add --places 7x7, or --places {OWN}.')
        return
    _grid_of(places)


def kept_places(places: str, form: Optional[str], model: nn.Module) -> KeptPlaces:
    """Decide what a store keeps of the places of a teacher.

    Args:
        places (str): The grid, see :func:`check_places`.
        form (str, optional): Likewise.
        model (nn.Module): An LGD model, with its teacher, names and loss.

    Returns:
        KeptPlaces: With the grid in numbers.

    Raises:
        ConfigError: The loss needs more than names, or there are too many names.
        TeacherError: The teacher has no places.
    """
    grid, teacher = _grid_of(places), model.teacher
    if not teacher.has_places:
        raise no_places(teacher.tower_name)
    names = KeptNames.of(model.criterion, model.textual_bank) if form == 'names' else None
    require(
        names is None or names.count <= MOST_NAMES,
        f'--places-form names numbers class names up to {MOST_NAMES}, got {names and names.count}. Take fewer names, '
        f'or --places-form embeddings.',
    )
    return KeptPlaces(grid or _own_grid(teacher), teacher.embed_dim, names)


def _own_grid(teacher: BaseTeacher) -> tuple[int, int]:
    """Find the grid of a teacher, which brings images of any size to its own."""
    image = torch.zeros(1, 3, *teacher.image_size, device=teacher.mean.device)
    return tuple(teacher.encode_places(image).shape[1:3])


def _grid_of(places: str) -> Optional[tuple[int, int]]:
    if places == OWN:
        return None
    found = re.fullmatch(r'(\d{1,4})x(\d{1,4})', places)
    grid = tuple(map(int, found.groups())) if found else (0, 0)
    if not all(0 < side <= MOST for side in grid):
        raise ConfigError(
            f'--places: expected rows x columns such as 7x7, up to {MOST}x{MOST}, or {OWN} for the grid of the '
            f'teacher; got {brief(places)!r}.'
        )
    return grid
