"""The table and the figure of a study: mean and spread over seeds of training."""

from pathlib import Path
from typing import Optional

from mmlgd.evaluation.figures import drop_of, probe_title
from mmlgd.utils.style import FAINT, INK, STUDENT, STYLE

from .runs import mean_and_spread

Summary = dict[str, dict[str, dict]]


def summarise(found: dict[str, dict[str, dict]]) -> Summary:
    """Compute mean and spread of all runs.

    Args:
        found (Dict[str, Dict[str, dict]]): Results of ``mmlgd evaluate`` by variant and seed, in per cent.

    Returns:
        Dict[str, Dict[str, dict]]: ``mean``, ``spread`` (sample standard deviation) and ``values`` by seed, for each
        variant and column. A linear probe's value is its mean over the draws of labels. ``own`` marks the accuracy
        of a classifier's own head in the first column. Columns without a value are omitted.
    """
    summary: Summary = {}
    for name, runs in found.items():
        columns: dict[str, dict[str, float]] = {}
        own = False
        for seed, figures in runs.items():
            first = figures['zero_shot']
            if first is None and figures['own_head'] is not None:
                first, own = figures['own_head'], True
            if first is not None:
                columns.setdefault('zero-shot', {})[seed] = first
            if (drop := drop_of(figures)) is not None:
                columns.setdefault('with synonyms', {})[seed] = figures['synonyms']
                columns.setdefault('drop', {})[seed] = drop
            columns.setdefault('20-NN', {})[seed] = figures['knn']
            for labels, draws in figures['linear'].items():
                columns.setdefault(probe_title(labels), {})[seed] = mean_and_spread(draws.values())[0]
        summary[name] = {}
        for title, values in columns.items():
            mean, spread = mean_and_spread(values.values())
            summary[name][title] = dict(mean=mean, spread=spread, values=values, own=own and title == 'zero-shot')
    return summary


def columns_of(summary: Summary) -> list[str]:
    """List the columns in table order."""
    titles = dict.fromkeys(title for figures in summary.values() for title in figures)
    first = ['zero-shot', 'with synonyms', 'drop', '20-NN']
    return sorted(titles, key=lambda title: first.index(title) if title in first else len(first))


def table(summary: Summary) -> str:
    """Write a Markdown table.

    Args:
        summary (Dict[str, Dict[str, dict]]): From :func:`summarise`.

    Returns:
        str: A row for each variant, and the notes below.
    """
    titles = columns_of(summary)
    lines = [f'| | {" | ".join(titles)} | seeds |', '|---' * (len(titles) + 2) + '|']
    for name, figures in summary.items():
        cells = [cell_of(figures.get(title)) for title in titles]
        lines.append(f'| {name} | {" | ".join(cells)} | {max(len(f["values"]) for f in figures.values())} |')
    are_several = any(len(figure['values']) > 1 for figures in summary.values() for figure in figures.values())
    lines += ['', 'Top-1 in per cent' + ('; mean ± standard deviation over seeds of training.' if are_several else '.')]
    if any(figure['own'] for figures in summary.values() for figure in figures.values()):
        lines += ['\\* not zero-shot: the accuracy of its own head, which was trained with all labels.']
    return '\n'.join(lines)


def cell_of(figure: Optional[dict]) -> str:
    """Write a cell of the table.

    Args:
        figure (dict, optional): Of :func:`summarise`. None: there is none.

    Returns:
        str: Mean, with several seeds its spread, and a star for the accuracy of a classifier's own head.

    Examples:
        >>> cell_of(dict(mean=41.0, spread=1.4, values={'0': 40.0, '1': 42.0}, own=False))
        '41.0 ± 1.4'
    """
    if figure is None:
        return '–'
    spread = f' ± {figure["spread"]:.1f}' if len(figure['values']) > 1 else ''
    return f'{figure["mean"]:.1f}{spread}' + ('*' if figure['own'] else '')


def draw(file: Path, summary: Summary) -> None:
    """Draw a panel for each column: seeds as dots, mean and spread as a bar with a whisker.

    Args:
        file (Path): The PNG to write.
        summary (Dict[str, Dict[str, dict]]): From :func:`summarise`.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from mmlgd.figures.looking import save

    titles, names = columns_of(summary), list(summary)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.6 + 2.7 * len(titles), 1.2 + 0.42 * len(names)), layout='constrained')
        for axis, title in zip(figure.subplots(1, len(titles), sharey=True, squeeze=False)[0], titles):
            for row, name in enumerate(names):
                if title not in summary[name]:
                    continue
                found = summary[name][title]
                color = INK if found['own'] else STUDENT
                values = list(found['values'].values())
                axis.barh(row, found['mean'], height=0.62, color=color, alpha=0.22)
                axis.errorbar(
                    found['mean'], row, xerr=found['spread'], color=color, capsize=3, marker='|', ms=13, mew=2
                )
                axis.plot(values, [row] * len(values), 'o', color=color, ms=3.5, alpha=0.8)
                end = max(*values, found['mean'] + found['spread'])
                axis.annotate(
                    f'{found["mean"]:.1f}' + ('*' if found['own'] else ''),
                    (end, row),
                    xytext=(6, 0),
                    textcoords='offset points',
                    va='center',
                    fontsize=9.5,
                    color=color,
                )
            axis.set(title=title, yticks=range(len(names)), yticklabels=names)
            axis.margins(x=0.2)
            axis.set_xlim(left=0)
            axis.grid(axis='y', visible=False)
        axis.invert_yaxis()
        below = 'top-1 (%); dots are seeds, whiskers their standard deviation'
        if any(f['own'] for figures in summary.values() for f in figures.values()):
            below += "; * a classifier's own head, trained with all labels"
        figure.supxlabel(below, fontsize=10, color=FAINT)
        save(figure, file)
