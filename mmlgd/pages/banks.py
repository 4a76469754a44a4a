"""The banks of a run: the cosines of their rows, and the names that are hardest to tell apart."""

import numpy as np
from matplotlib import colormaps
from PIL import Image

from mmlgd.evaluation.similar_names import confusable
from mmlgd.figures.banks import NAMED, Banks, Matrix, matrices_of, read_banks, summary_of
from mmlgd.models.banks import read_visual_state
from mmlgd.models.base_bank import PROTOTYPES, saved_role
from mmlgd.text import phrasings

from .blocks import Picture, Pictures, Table, Text
from .charts import draw_cosines
from .pictures import jpeg
from .training import Training

_SIDE = 480  # pixels of a matrix without names
_PAIRS = 12  # in the table


def show_banks(run: Training) -> list:
    """Draw both banks, or the class names alone where no term of the loss has moved the visual bank.

    Args:
        run (Training): A run whose checkpoint has names.

    Returns:
        list: Blocks.

    Raises:
        CheckpointError: A bank is damaged.
    """
    names, bank = run.text['class_names'], run.text['bank']
    if len(names) < 2:
        return [Text('The bank has a single name: there is nothing to compare.')]
    if _has_prototypes(run):
        banks = read_banks(run.checkpoint)
        said = summary_of(banks)
    else:
        rows = bank.numpy()
        banks = Banks(0, names, rows, rows, np.zeros(len(names), dtype=bool))
        said = (
            'The loss of this run reads no visual bank, so there are class names alone. Similar names are side by side.'
        )
    ordered, matrices = matrices_of(banks)
    if len(names) <= NAMED:
        drawn = [draw_cosines(one.title, one.values, ordered, one.across, one.down) for one in matrices]
    else:
        drawn = [Pictures('', [_without_names(one) for one in matrices], wide=True)]
    words = [phrasings(name)[0] for name in names]
    rows = [[words[i], words[j], f'{cosine:.2f}'] for i, j, cosine in confusable(bank).pairs[:_PAIRS]]
    return [Text(said), *drawn, Table(['name', 'its nearest', 'cosine'], rows, 'The closest pairs of class names.')]


def _without_names(matrix: Matrix) -> Picture:
    """Colour a matrix whose names do not fit on an axis."""
    values, size = matrix.values, len(matrix.values)
    low, high = np.nanmin(values), np.nanmax(values)
    pixels = colormaps['viridis'].with_extremes(bad='#808080')((values - low) / max(high - low, 1e-9), bytes=True)
    side = size * max(1, round(_SIDE / size))
    picture = Image.fromarray(pixels[..., :3]).resize((side, side), Image.Resampling.NEAREST)
    return Picture(jpeg(picture, 2 * _SIDE), f'{matrix.title}: {low:.2f} (dark) to {high:.2f} (bright)')


def _has_prototypes(run: Training) -> bool:
    """Check whether a visual bank of prototypes was updated: one that no term reads stays as it was."""
    state = run.saved.state
    return saved_role(state, 'visual_bank') == PROTOTYPES and bool(read_visual_state(state, run.saved.source)[1].any())
