"""A figure of class names: the similarities of their rows, and the pairs that are hard to tell apart."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure
from torch import Tensor

from mmlgd.evaluation.similar_names import PERCENTILE, Confusable
from mmlgd.text import phrasings
from mmlgd.utils.style import FAINT, INK, STYLE, TEACHER, TEXT, clipped

from .banks import NAMED
from .looking import save
from .ordering import alike_together

_PAIRS = 14  # bars that fit


def draw_names(bank: Tensor, names: list[str], found: Confusable, out: Path) -> Path:
    """Draw the matrix of cosines, their histogram, and the most similar pairs.

    Args:
        bank (Tensor): (K, D), unit rows.
        names (List[str]): The K names.
        found (Confusable): The pairs above the percentile.
        out (Path): The file to write.

    Returns:
        Path: The same file.
    """
    labels = [clipped(phrasings(name)[0], 24) for name in names]
    with rc_context(STYLE):
        figure = Figure(figsize=(14, 7.6), layout='constrained')
        figure.get_layout_engine().set(w_pad=0.14)
        axes = figure.subplot_mosaic([['matrix', 'pairs'], ['matrix', 'histogram']], width_ratios=[1.55, 1])
        _draw_matrix(figure, axes['matrix'], bank, labels)
        _draw_pairs(axes['pairs'], labels, found)
        _draw_histogram(axes['histogram'], found)
        return save(figure, out)


def _draw_matrix(figure: Figure, axis, bank: Tensor, labels: list[str]) -> None:
    order = alike_together(bank.numpy())
    values = (bank @ bank.T).numpy()[order][:, order]
    np.fill_diagonal(values, np.nan)  # always 1: it would take the range of colours
    image = axis.imshow(values, cmap=colormaps['viridis'].with_extremes(bad='white'), interpolation='nearest')
    if len(labels) <= NAMED:
        ticks, shown = range(len(labels)), [labels[k] for k in order]
        axis.set_xticks(ticks, shown, rotation=45, ha='right', rotation_mode='anchor', fontsize=9)
        axis.set_yticks(ticks, shown, fontsize=9)
    else:
        axis.set(xticks=[], yticks=[], ylabel=f'{len(labels)} names')
    axis.set_title('Cosine of class names, similar ones side by side')
    axis.grid(False)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, shrink=0.75, pad=0.015).outline.set_visible(False)


def _draw_pairs(axis, labels: list[str], found: Confusable) -> None:
    pairs = found.pairs[:_PAIRS]
    low = min((value for _, _, value in pairs), default=0)
    low = min(low, 0.99)  # pairs that are all copies have bars of a width, too
    left = low - 0.35 * (1 - low)
    for row, (i, j, value) in enumerate(pairs):
        axis.barh(row, value - left, left=left, color=TEXT, alpha=0.3, height=0.82)
        axis.text(left, row, f'  {labels[i]} – {labels[j]}', va='center', fontsize=9.5, color=INK)
        axis.text(1.0, row, f'{value:.2f}', va='center', ha='right', fontsize=9.5, color=FAINT)
    axis.set(xlim=(left, 1), ylim=(max(len(pairs), _PAIRS // 2) - 0.4, -0.6), yticks=[])
    axis.set_title(f'The closest {len(pairs)} of {len(found.cosines):,} pairs')
    axis.grid(axis='y', visible=False)
    axis.spines['left'].set_visible(False)


def _draw_histogram(axis, found: Confusable) -> None:
    values = found.cosines.numpy()
    axis.hist(values, bins=60 if len(values) > 200 else 20, color=TEXT, alpha=0.45)
    axis.axvline(found.threshold, color=TEACHER, lw=1.8)
    side = 'right' if found.threshold > sum(axis.get_xlim()) / 2 else 'left'  # the side that has more room
    place = dict(transform=axis.get_xaxis_transform(), va='top', ha=side, rotation=90)  # along the line: bars are wide
    axis.text(found.threshold, 0.97, f'{PERCENTILE}th percentile', color=TEACHER, **place)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel='cosine', ylabel='pairs')
    axis.set_title('All pairs')
