"""Charts of plotly as JSON, without a style of their own where light and dark mode differ: page.css has it."""

import html
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from mmlgd.errors import shown
from mmlgd.utils.style import CLASSES, FAINT, INK, NAVY, STUDENT, TEACHER, clipped

from .blocks import Chart

_NEAR, _TALL = 280, 640  # pixels
_FEW = 14  # names that fit below a matrix of half the width
_COLORS = tuple(color for color in CLASSES if color != NAVY)
_OWN = {'student': STUDENT, 'teacher': TEACHER, 'random': FAINT}


class Values(NamedTuple):
    """Values of one model or start.

    Attributes:
        name (str): Its name.
        x (Sequence): Where they are: numbers, or names of columns.
        y (Sequence[float | None]): The values; None is a gap.
        spread (Sequence[float] | None): Standard deviations.
    """

    name: str
    x: Sequence
    y: Sequence
    spread: Any = None


def label(text: object, length: int = 28) -> str:
    """Write a name from a file into a chart: plotly reads labels as a kind of HTML.

    Args:
        text (object): A name.
        length (int): Characters, at most. Defaults to 28.

    Returns:
        str: The name as plotly shows it unchanged.

    Examples:
        >>> label('<b>cat</b>')
        '&lt;b&gt;cat&lt;/b&gt;'
    """
    return html.escape(clipped(shown(text), length), quote=False)


def draw_lines(title: str, lines: Sequence[tuple], limits: tuple, x_title: str) -> Chart:
    """Draw curves of a run.

    Args:
        title (str): Title of the chart.
        lines (Sequence[tuple]): For each curve x, y, its name, its colour and its dashes (``'-'`` or ``'--'``).
        limits (tuple): Lower and upper limit of y; None lets the values decide.
        x_title (str): What x is.

    Returns:
        Chart: The chart.
    """
    traces = [
        go.Scatter(
            x=list(map(float, x)),
            y=list(map(float, y)),
            name=label(name, 48),
            mode='lines+markers' if len(x) <= 40 else 'lines',
            line=dict(color=FAINT if color == INK else color, dash='solid' if dashes == '-' else 'dash', width=2),
            marker=dict(size=5),
            hovertemplate='%{y:.4~g}',
        )
        for x, y, name, color, dashes in lines
    ]
    return _chart(
        title,
        traces,
        hovermode='x unified',
        xaxis=dict(title=dict(text=x_title, standoff=6), hoverformat='.4~g'),
        yaxis=dict(range=list(limits) if None not in limits else None, rangemode='tozero' if limits[0] == 0 else None),
    )


def draw_bars(title: str, rows: Sequence[Values]) -> Chart:
    """Draw groups of bars, a group for each column of a table.

    Args:
        title (str): Title of the chart.
        rows (Sequence[Values]): Models; x are the columns.

    Returns:
        Chart: The chart.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row.x))
    traces = [
        go.Bar(
            x=[columns.index(column) for column in row.x],
            y=list(row.y),
            name=label(row.name),
            marker=dict(color=color),
            error_y=_error(row.spread, color),
            hovertemplate='%{y:.1f}',
        )
        for row, color in zip(rows, _colors([row.name for row in rows]))
    ]
    ticks = dict(tickvals=list(range(len(columns))), ticktext=[label(column) for column in columns])
    return _chart(
        title, traces, wide=True, barmode='group', hovermode='x unified', xaxis=ticks, yaxis=dict(rangemode='tozero')
    )


def draw_seeds(title: str, rows: Sequence[Values], value: str) -> Chart:
    """Draw a line of dots for each start, one for each seed, and their mean.

    Args:
        title (str): Title of the chart.
        rows (Sequence[Values]): Starts; x are the seeds.
        value (str): What the values are.

    Returns:
        Chart: The chart.
    """
    traces = []
    for place, (row, color) in enumerate(zip(rows, _colors([row.name for row in rows]))):
        mean = sum(row.y) / len(row.y)
        traces += [
            go.Bar(
                x=[mean],
                y=[place],
                orientation='h',
                marker=dict(color=color),
                opacity=0.35,
                width=0.6,
                hovertemplate='mean %{x:.4~g}<extra></extra>',
            ),
            go.Scatter(
                x=list(row.y),
                y=[place] * len(row.y),
                customdata=[label(seed) for seed in row.x],
                mode='markers',
                marker=dict(color=color, size=9),
                hovertemplate='seed %{customdata}: %{x:.4~g}<extra></extra>',
            ),
        ]
    ticks = dict(tickvals=list(range(len(rows))), ticktext=[label(row.name) for row in rows], autorange='reversed')
    height = 110 + 44 * len(rows)
    return _chart(title, traces, height, True, showlegend=False, xaxis=dict(title=dict(text=label(value))), yaxis=ticks)


def draw_learning(title: str, rows: Sequence[Values], value: str) -> Chart:
    """Draw learning curves: a value over the share of the labels.

    Args:
        title (str): Title of the chart.
        rows (Sequence[Values]): Starts; x are shares in per cent.
        value (str): What the values are.

    Returns:
        Chart: The chart.
    """
    shares = sorted({share for row in rows for share in row.x})
    traces = [
        go.Scatter(
            x=list(row.x),
            y=list(row.y),
            name=label(row.name),
            mode='lines+markers',
            line=dict(color=color, width=2),
            marker=dict(size=7),
            error_y=_error(row.spread, color),
            hovertemplate='%{y:.4~g}',
        )
        for row, color in zip(rows, _colors([row.name for row in rows]))
    ]
    ticks = dict(type='log', tickvals=shares, ticktext=[f'{share:g} %' for share in shares], title=dict(text='labels'))
    return _chart(
        title, traces, 360, True, hovermode='x unified', xaxis=ticks, yaxis=dict(title=dict(text=label(value)))
    )


def draw_confusions(title: str, counts: Sequence[Sequence[int]], names: Sequence[str]) -> Chart:
    """Draw a matrix of confusions.

    Args:
        title (str): Title of the chart.
        counts (Sequence[Sequence[int]]): (K, K), images of a name (rows) with an answer (columns).
        names (Sequence[str]): The K names.

    Returns:
        Chart: The chart.
    """
    named = [label(name, 18) for name in names]
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    said = [[f'{true} → {answer}: {n} images' for answer, n in zip(named, row)] for true, row in zip(named, counts)]
    return _matrix(title, shares, said, named, ('answer', ''), True, zmin=0, zmax=1, colorbar=dict(tickformat='.0%'))


def draw_cosines(title: str, values: np.ndarray, names: Sequence[str], across: str, down: str) -> Chart:
    """Draw a matrix of cosines.

    Args:
        title (str): Title of the chart.
        values (np.ndarray): (K, K); NaN is a gap.
        names (Sequence[str]): The K names of rows and columns.
        across (str): What a column is.
        down (str): What a row is.

    Returns:
        Chart: The chart, of half the width if the names are few.
    """
    named = [label(name, 18) for name in names]
    cells = [[None if np.isnan(value) else round(float(value), 3) for value in row] for row in values]
    said = [[f'{row}, {column}: {value}' for column, value in zip(named, of)] for row, of in zip(named, cells)]
    return _matrix(title, cells, said, named, (label(across), label(down)), len(names) > _FEW)


def _matrix(title: str, values: list, said: list, named: list[str], axes: tuple, wide: bool, **style: Any) -> Chart:
    bar = dict(outlinewidth=0, thickness=12, **style.pop('colorbar', {}))
    trace = go.Heatmap(
        z=values,
        customdata=said,
        colorscale='Viridis',
        hovertemplate='%{customdata}<extra></extra>',
        hoverongaps=False,
        colorbar=bar,
        **style,
    )
    ticks = dict(tickvals=list(range(len(named))), ticktext=named, showgrid=False)
    across, down = (dict(ticks, title=dict(text=text, standoff=12)) for text in axes)
    height = min(_TALL, 220 + 22 * len(named))
    across, down = dict(across, tickangle=-45), dict(down, autorange='reversed')
    return _chart(title, [trace], height, wide, xaxis=across, yaxis=down)


def _error(spread: Any, color: str) -> dict:
    return dict(visible=False) if spread is None else dict(array=list(spread), color=color, thickness=1.5)


def _colors(names: Sequence[str]) -> list[str]:
    """Choose the colours of models: student, teacher and random have their own in every chart."""
    free = itertools.cycle(_COLORS)
    return [_OWN[name] if name in _OWN else next(free) for name in names]


def _chart(title: str, traces: list, height: int = _NEAR, wide: bool = False, **layout: Any) -> Chart:
    for axis in ('xaxis', 'yaxis'):  # fixed: a finger on a chart scrolls the page
        layout[axis] = dict(fixedrange=True, automargin=True, zeroline=False, **layout.get(axis, {}))
    figure = go.Figure(
        traces,
        dict(
            template={},
            height=height,
            margin=dict(l=8, r=8, t=8, b=8),
            paper_bgcolor='rgba(0,0,0,0)',
            plot_bgcolor='rgba(0,0,0,0)',
            font=dict(family='system-ui, sans-serif', size=12),
            legend=dict(orientation='h', x=0, y=1.02, yanchor='bottom'),
            dragmode=False,
            **layout,
        ),
    )
    return Chart(title, figure.to_json(), wide)  # to_json writes < and > so that they cannot end a script
