"""Evaluations, comparisons and studies as tables, charts and sentences."""

import statistics
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Optional

from mmlgd.evaluation.figures import STAR, as_rows, probe_title
from mmlgd.studies.metrics import unit_of
from mmlgd.studies.report import cell_of, columns_of, summarise
from mmlgd.studies.runs import mean_and_spread

from .blocks import Table, Text
from .charts import Values, draw_bars, draw_learning, draw_seeds
from .results import Comparison, Evaluation, Proof, Row, Study, metric_of

_WARNING = 'WARNING: '  # so begin notes of a proof that bear on its verdict


def evaluation_answer(found: Evaluation) -> str:
    """Say what an evaluation found.

    Args:
        found (Evaluation): The table.

    Returns:
        str: Plain sentences.
    """
    rows = [one for one in found.results.items() if one[0] != 'teacher'] or [*found.results.items()]
    name, student = min(rows, key=lambda one: (one[1].zero_shot is None, one[1].source == 'none'))  # the first of ours
    others = {'its teacher': found.results.get('teacher'), 'a random start': _random(found)}
    others = {who: row for who, row in others.items() if row is not None and row is not student}
    told = []
    for figure, what in (('zero_shot', 'zero-shot'), ('knn', f'by {found.k} neighbours')):
        if (value := getattr(student, figure)) is not None:
            values = {who: getattr(row, figure) for who, row in others.items()}
            beside = ', '.join(f'{who} {one:.1f} %' for who, one in values.items() if one is not None)
            told.append(f'{value:.1f} % {what}{f" ({beside})" if beside else ""}')
    return (
        f'On {found.images.get("val", 0):,} labelled images in {found.data}, {name} is right for {" and ".join(told)}.'
    )


def evaluation_blocks(found: Evaluation) -> list:
    """Show an evaluation.

    Args:
        found (Evaluation): The table.

    Returns:
        list: A table and a chart.
    """
    report = found.model_dump()
    titles, rows = as_rows(report)
    has_own = any(row.own_head is not None for row in found.results.values())
    notes = ['Top-1 in per cent; mean ± spread over draws of labels.', *([STAR] if has_own else []), *found.notes]
    return [
        draw_bars('Top-1 (%)', [_bars(name, row, found.k) for name, row in found.results.items()]),
        Table(['', *titles], rows, ' '.join(notes)),
    ]


def comparison_answer(found: Comparison, folder: Path) -> str:
    """Say what a comparison found: the best start against random, or against the first one, in each way of training.

    Args:
        found (Comparison): The table.
        folder (Path): Its folder.

    Returns:
        str: Plain sentences; empty for a single start.
    """
    ways: dict[str, dict[str, dict[str, float]]] = {}
    for name, values in found.root.items():
        start, _, way = name.partition(', ')
        ways.setdefault(way, {})[start] = values
    told = [f'{f"{way}: " if way else ""}{_best(starts)}' for way, starts in ways.items() if len(starts) > 1]
    return f'{metric_of(folder / "table.md")}: {" ".join(told)}' if told else ''


def comparison_blocks(found: Comparison, folder: Path) -> list:
    """Show a comparison.

    Args:
        found (Comparison): The table.
        folder (Path): Its folder.

    Returns:
        list: A chart and a table.
    """
    metric, starts = metric_of(folder / 'table.md'), found.root
    seeds = list(dict.fromkeys(seed for values in starts.values() for seed in values))
    rows = []
    for name, values in starts.items():
        cells = [f'{values[seed]:.4g}' if seed in values else '–' for seed in seeds]
        rows.append([name, *cells, _with_spread(values.values(), '.4g', '.2g')])
    table = Table(
        ['start', *(f'seed {seed}' for seed in seeds), 'mean ± spread'], rows, f'{metric}, of the last evaluation.'
    )
    dots = [Values(name, list(values), list(values.values())) for name, values in starts.items()]
    return [draw_seeds('Each dot is a seed', dots, metric), table]


def proof_answers(found: Proof) -> list[str]:
    """Say what a proof found, and what makes it doubtful: its warnings, as of evaluation images that a start has seen.

    Args:
        found (Proof): The proof.

    Returns:
        List[str]: Plain sentences.
    """
    return [*found.verdict, *(note for note in found.notes if note.startswith(_WARNING))]


def proof_blocks(found: Proof) -> list:
    """Show a proof, without its answers.

    Args:
        found (Proof): The proof.

    Returns:
        list: Learning curves over shares of the labels, or with a single share the seeds; a table, and notes.
    """
    means, spreads, seeds, rows = {}, {}, [], []
    digits = unit_of(found.metric or '').digits  # those of table.md
    for name, shares in found.figures.items():
        both = {share: mean_and_spread(values.values()) for share, values in sorted(shares.items())}
        means[name] = {share: mean for share, (mean, _) in both.items()}
        spreads[name] = [spread or None for _, spread in both.values()]
        for share in both:
            seeds.append(Values(name, list(shares[share]), list(shares[share].values())))
            known = [one for one in found.seconds.get(name, {}).get(share, {}).values() if one is not None]
            minutes = f'{statistics.mean(known) / 60:.1f}' if known else '–'
            told = _with_spread(shares[share].values(), digits, digits)
            rows.append([name, f'{share:g} %', told, str(len(shares[share])), minutes])
    if max(map(len, means.values())) > 1:
        lines = [Values(name, list(own), list(own.values()), spreads[name]) for name, own in means.items()]
        chart = draw_learning('Over shares of the labels', lines, found.unit)
    else:
        chart = draw_seeds('Each dot is a seed', seeds, found.unit)
    table = Table(['start', 'labels', f'{found.unit}, mean ± spread', 'seeds', 'minutes a run'], rows)
    return [chart, table, *(Text(note) for note in found.notes if not note.startswith(_WARNING))]


def study_answer(found: Study) -> str:
    """Say which variant of a study is best.

    Args:
        found (Study): The study.

    Returns:
        str: A sentence for its first column.
    """
    summary = _summary(found)
    column = columns_of(summary)[0]
    means = {name: row[column]['mean'] for name, row in summary.items() if column in row and not row[column]['own']}
    if not means:
        return f'No {column}: a head that was trained with labels answers ({", ".join(summary)}).'
    best = max(means, key=means.get)
    if len(summary) == 1:
        return f'{best} has a {column} of {means[best]:.1f} %.'
    return f'Of {len(summary)} variants, {best} has the highest {column}: {means[best]:.1f} %.'


def study_blocks(found: Study) -> list:
    """Show a study.

    Args:
        found (Study): The study.

    Returns:
        list: A chart and a table.
    """
    summary = _summary(found)
    titles = columns_of(summary)
    bars, rows = [], []
    for name, row in summary.items():
        there = [title for title in titles if title in row]
        bars.append(Values(name, there, [row[t]['mean'] for t in there], [row[t]['spread'] or None for t in there]))
        cells = [cell_of(row.get(title)) for title in titles]
        rows.append([name, *cells, str(len(found.runs[name]))])
    note = 'Top-1 in per cent; mean ± standard deviation over seeds of training.'
    note += f' {STAR}' if any(figure['own'] for row in summary.values() for figure in row.values()) else ''
    return [draw_bars('Top-1 (%)', bars), Table(['', *titles, 'seeds'], rows, note)]


def _with_spread(values: Collection[float], digits: str, spread_digits: str) -> str:
    """Write a mean with its spread over seeds, which one seed does not have."""
    mean, spread = mean_and_spread(values)
    return f'{mean:{digits}}' + (f' ± {spread:{spread_digits}}' if len(values) > 1 else '')


def _summary(found: Study) -> dict:
    return summarise(
        {name: {seed: row.model_dump() for seed, row in runs.items()} for name, runs in found.runs.items()}
    )


def _random(found: Evaluation) -> Optional[Row]:
    return next((row for row in found.results.values() if row.source == 'none'), None)


def _bars(name: str, row: Row, k: int) -> Values:
    figures = {'zero-shot': ([row.zero_shot], row.zero_shot is not None), f'{k}-NN': ([row.knn], True)}
    for labels, draws in row.linear.items():
        figures[probe_title(labels)] = (list(draws.values()), bool(draws))
    pairs = {title: mean_and_spread(values) for title, (values, is_there) in figures.items() if is_there}
    return Values(
        name, list(pairs), [mean for mean, _ in pairs.values()], [spread or None for _, spread in pairs.values()]
    )


def _best(starts: Mapping[str, Mapping[str, float]]) -> str:
    """Compare the best start with random, or with the first one, seed by seed."""
    base = 'random' if 'random' in starts else next(iter(starts))
    gains = {name: _paired(values, starts[base]) for name, values in starts.items() if name != base}
    gains = {name: values for name, values in gains.items() if values}
    if not gains:
        return f'no other start has the seeds of {base}.'
    best = max(gains, key=lambda name: statistics.mean(gains[name]))
    gain, spread = mean_and_spread(gains[best])
    won = sum(one > 0 for one in gains[best])
    if len(gains[best]) == 1:
        return f'{best} is {gain:+.3g} over {base} on one seed.'
    told = f'{best} is {gain:+.3g} ± {spread:.2g} over {base} and higher on {won} of {len(gains[best])} seeds.'
    return told + (' The difference is no more than the spread: more seeds would tell.' if spread >= abs(gain) else '')


def _paired(values: Mapping[str, float], base: Mapping[str, float]) -> list[float]:
    return [value - base[seed] for seed, value in values.items() if seed in base]
