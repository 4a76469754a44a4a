"""Figures of both banks: similarities of their rows, and drift of the prototypes."""

from pathlib import Path
from typing import NamedTuple, Union

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmlgd.checkpoints import CheckpointError, read_checkpoint, state_dict_of
from mmlgd.evaluation import unit_rows
from mmlgd.models.banks import read_text_state, read_visual_state
from mmlgd.text import phrasings
from mmlgd.utils.style import FAINT, INK, STUDENT, TEXT, clipped

from .ordering import alike_together

NAMED = 40  # class names that fit on an axis
UNVISITED = '#e4e6ea'


class Banks(NamedTuple):
    """The banks of one checkpoint.

    Attributes:
        epoch (int): Epoch of the checkpoint; 0 in a training of steps.
        names (List[str]): K class names.
        text (np.ndarray): (K, D), unit rows of the textual bank.
        visual (np.ndarray): (K, D), the visual bank's rows, scaled to unit length.
        visited (np.ndarray): (K,) bool.
        step (int): Step of the checkpoint. Defaults to 0: it is not known.
    """

    epoch: int
    names: list[str]
    text: np.ndarray
    visual: np.ndarray
    visited: np.ndarray
    step: int = 0

    @property
    def when(self) -> str:
        """str: When in its training it was written."""
        return f'step {self.step}' if self.step and not self.epoch else f'epoch {self.epoch}'


class Matrix(NamedTuple):
    """Cosines of the rows of two banks.

    Attributes:
        title (str): What it compares.
        values (np.ndarray): (K, K); NaN for prototypes without a visit.
        across (str): What a column is.
        down (str): What a row is.
    """

    title: str
    values: np.ndarray
    across: str
    down: str


def read_banks(file: Union[str, Path]) -> Banks:
    """Read the banks of a checkpoint.

    Args:
        file (str | Path): A checkpoint of LGD training.

    Returns:
        Banks: Its banks.

    Raises:
        CheckpointError: It has no banks, or a queue of images instead of the visual bank.
    """
    checkpoint = read_checkpoint(file)
    state = state_dict_of(checkpoint)
    missing = [key for key in ('textual_bank.bank', 'visual_bank.bank', 'visual_bank.visited') if key not in state]
    if missing:
        raise CheckpointError(f'{file} has no {", ".join(missing)}. Give checkpoints of LGD training with both banks.')
    text, (visual, visited) = read_text_state(state, file), read_visual_state(state, file)
    meta = checkpoint.get('meta')
    epoch, step = (meta.get(key) if isinstance(meta, dict) else 0 for key in ('epoch', 'iter'))
    return Banks(
        epoch if isinstance(epoch, int) else 0,
        text['class_names'],
        text['bank'].numpy(),
        unit_rows(visual).numpy(),
        visited.numpy(),
        step if isinstance(step, int) else 0,
    )


def matrices_of(banks: Banks) -> tuple[list[str], list[Matrix]]:
    """Compute the cosines within and between the banks, similar prototypes side by side.

    Args:
        banks (Banks): Banks of one checkpoint.

    Returns:
        Tuple[List[str], List[Matrix]]: The names in the order of rows and columns, and three matrices; where no
        prototype was visited, that of the class names alone, similar ones side by side.
    """
    order = _alike_together(banks)
    names = [phrasings(banks.names[k])[0] for k in order]
    text, visual, visited = banks.text[order], banks.visual[order], banks.visited[order]
    of_names = Matrix('Class names (TSB)', text @ text.T, 'class name', 'class name')
    if not visited.any():
        return names, [of_names]
    within_visual, between = visual @ visual.T, visual @ text.T
    within_visual[~visited], within_visual[:, ~visited], between[~visited] = np.nan, np.nan, np.nan
    of_prototypes = Matrix('Prototypes (VSB)', within_visual, 'prototype', 'prototype')
    return names, [
        of_names,
        of_prototypes,
        Matrix('Prototypes against class names', between, 'class name', 'prototype'),
    ]


def summary_of(banks: Banks) -> str:
    """Say how many prototypes there are, and how many fit their names.

    Args:
        banks (Banks): Banks of one checkpoint.

    Returns:
        str: Two sentences.
    """
    rows = np.flatnonzero(banks.visited)
    own = (banks.visual[rows] @ banks.text.T).argmax(axis=1) == rows
    share = f', of which {100 * own.mean():.0f} % are nearest to their own class name' if len(rows) else ''
    return (
        f'Cosines after {banks.when}: {len(rows)} of {len(banks.names)} prototypes visited{share}. Similar '
        f'{"prototypes" if len(rows) else "names"} are side by side.'
    )


def cosines_of(banks: Banks) -> Figure:
    """Draw the cosines within and between the banks.

    Args:
        banks (Banks): Banks of one checkpoint.

    Returns:
        Figure: The matrices side by side.
    """
    names, matrices = matrices_of(banks)
    few = len(names) <= NAMED
    figure = Figure(figsize=(5.8 * len(matrices), 5.5 if few else 4.9), layout='constrained')
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    figure.get_layout_engine().set(w_pad=0.14)
    for axis, (title, values, across, down) in zip(axes, matrices):
        image = axis.imshow(values, cmap=_colors(), interpolation='nearest')
        if few:
            shown = [clipped(name) for name in names]
            axis.set_xticks(range(len(names)), shown, rotation=45, ha='right', rotation_mode='anchor')
            axis.set_yticks(range(len(names)), shown)
        else:
            axis.set(xticks=[], yticks=[])
        if len(names) <= 12:
            middle = np.nanmin(values) + 0.62 * (np.nanmax(values) - np.nanmin(values))
            for (i, j), value in np.ndenumerate(values):
                if not np.isnan(value):
                    color = INK if value > middle else 'white'
                    axis.text(j, i, f'{round(value, 2) + 0.0:.2f}', ha='center', va='center', fontsize=8, color=color)
        axis.set(title=title, xlabel=across, ylabel=down if few else f'{down}, {len(names)} of them')
        axis.grid(False)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axis, shrink=0.75, pad=0.015)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9)
    figure.text(0.01, 1.02, summary_of(banks), fontsize=11, color=FAINT)
    return figure


def drift_of(run: list[Banks]) -> Figure:
    """Draw the cosine of each prototype to its final value.

    Args:
        run (List[Banks]): Banks of two or more checkpoints of one run, oldest first.

    Returns:
        Figure: Curves over epochs, or over steps if several are of one epoch, and a row for each class.
    """
    last = run[-1]
    order = _alike_together(last)
    epochs, steps = ([getattr(banks, unit) for banks in run] for unit in ('epoch', 'step'))
    by_steps = len(set(epochs)) < len(set(steps))
    times, unit = (steps, 'step') if by_steps else (epochs, 'epoch')
    to_last = np.stack([(banks.visual * last.visual).sum(axis=1) for banks in run])  # (E, K)
    before = np.stack([(a.visual * b.visual).sum(axis=1) for a, b in zip(run, run[1:])])  # (E - 1, K)
    seen = np.stack([banks.visited for banks in run])  # (E, K)
    to_last[~seen], before[~seen[:-1]] = np.nan, np.nan

    few = len(order) <= NAMED
    figure = Figure(figsize=(13.5, 5.2), layout='constrained')
    left, right = figure.subplots(1, 2, gridspec_kw=dict(width_ratios=[1, 1.15]))
    figure.get_layout_engine().set(w_pad=0.14)
    for x, values, color, label in (
        (times, to_last, STUDENT, 'to the last checkpoint'),
        (times[1:], before, TEXT, 'to the checkpoint before'),
    ):
        known = ~np.isnan(values).all(axis=1)
        x, values = np.array(x)[known], values[known]
        low, mean, high = np.nanmin(values, axis=1), np.nanmean(values, axis=1), np.nanmax(values, axis=1)
        left.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        left.plot(x, mean, color=color, lw=2.4, marker='o', ms=4.5, label=label)
    left.plot(times, seen.mean(axis=1), color=FAINT, lw=1.6, ls=(0, (1, 2)), label='rows visited (share)')
    left.set_title('Cosine of a prototype', pad=22)
    left.set(xlabel=unit)
    left.margins(x=0)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc='lower right', fontsize=10)
    left.text(0, 1.01, 'mean over classes; band: all of them', transform=left.transAxes, color=FAINT, size=9.5)

    image = right.imshow(to_last.T[order], cmap=_colors(), aspect='auto', interpolation='nearest')
    right.set_xticks(range(len(times)), times)
    if len(times) > 20:
        right.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    if few:
        right.set_yticks(range(len(order)), [clipped(last.names[k]) for k in order])
    else:
        right.set(yticks=[], ylabel=f'{len(order)} classes')
    right.set_title('Cosine to the last checkpoint, for each class', pad=22)
    right.set(xlabel=unit)
    right.grid(False)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    figure.colorbar(image, ax=right, shrink=0.85, pad=0.015).outline.set_visible(False)
    return figure


def _alike_together(banks: Banks) -> np.ndarray:
    """Order rows so that similar prototypes are neighbours, and prototypes without a visit come last.

    Without any visit, similar names are neighbours.
    """
    visited = np.flatnonzero(banks.visited)
    if not len(visited):
        return alike_together(banks.text)
    return np.concatenate([visited[alike_together(banks.visual[visited])], np.flatnonzero(~banks.visited)])


def _colors():
    return colormaps['viridis'].with_extremes(bad=UNVISITED)
