"""The table and the figure of a proof: starts over shares of the labels and seeds."""

from collections.abc import Mapping
from pathlib import Path

from mmlgd.utils.style import CLASSES, FAINT, INK, STYLE, clipped

from .gains import Figures, Gain, gain_of
from .metrics import Unit
from .runs import mean_and_spread
from .shares import share_text


def table_of(
    figures: Mapping[str, Figures], seconds: Mapping[str, Figures], bases: Mapping[str, str], unit: Unit
) -> str:
    """Write all figures as a Markdown table.

    Args:
        figures (Mapping[str, Figures]): All starts with equal shares and seeds.
        seconds (Mapping[str, Figures]): Duration of each run, likewise; None where it is not known.
        bases (Mapping[str, str]): For each start with a gain, the start that it is compared with.
        unit (Unit): Of the figures.

    Returns:
        str: A row for each share and start: figures by seed, mean and spread, gain with its 95 % interval, and the
        mean duration of a run.
    """
    shares = next(iter(figures.values()))
    seeds = list(next(iter(shares.values())))
    over = {*bases.values()}
    title = f'over {over.pop()}' if len(over) == 1 else 'gain'
    lines = [
        f'| labels | start | {" | ".join(f"seed {seed}" for seed in seeds)} | {unit.word}, mean ± spread | '
        f'{title} | 95 % interval | minutes a run |',
        '|---' * (len(seeds) + 6) + '|',
    ]
    for share in sorted(shares):
        for name, own in figures.items():
            values = own[share]
            mean, spread = mean_and_spread(values.values())
            cells = [share_text(share), name, *(f'{value:{unit.digits}}' for value in values.values())]
            cells.append(f'{mean:{unit.digits}}' + (f' ± {spread:{unit.digits}}' if len(values) > 1 else ''))
            if base := bases.get(name):
                gain, interval = _cells(gain_of(values, figures[base][share]), unit)
                cells += [gain if title != 'gain' else f'{gain} over {base}', interval]
            else:
                cells += ['–', '–']
            known = [one for one in seconds[name][share].values() if one is not None]
            cells.append(f'{mean_and_spread(known)[0] / 60:.1f}' if known else '–')
            lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _cells(gain: Gain, unit: Unit) -> list[str]:
    if gain.interval is None:
        return [f'{gain.mean:+{unit.digits}}', '–']
    ends = (f'{end:+{unit.digits}}' for end in gain.interval)
    return [f'{gain.mean:+{unit.digits}} ± {gain.spread:{unit.digits}}', ' to '.join(ends)]


def draw(file: Path, figures: Mapping[str, Figures], unit: Unit, title: str) -> None:
    """Draw the learning curve of each start over shares of the labels.

    Args:
        file (Path): The PNG to write.
        figures (Mapping[str, Figures]): As for :func:`table_of`.
        unit (Unit): Of the figures.
        title (str): Title of the figure.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from mmlgd.figures.looking import save

    shares = sorted(next(iter(figures.values())))
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 4.6), layout='constrained')
        axis = figure.subplots()
        for (name, own), color in zip(figures.items(), (INK, *CLASSES * len(figures))):
            found = [mean_and_spread(own[share].values()) for share in shares]
            means, spreads = zip(*found)
            axis.errorbar(
                shares, means, yerr=spreads, color=color, label=clipped(name), capsize=3, marker='o', ms=6, lw=2
            )
            dots = [(share, value) for share in shares for value in own[share].values()]
            axis.plot(*zip(*dots), 'o', color=color, mfc='white', ms=4, zorder=3)
        axis.set_xscale('log')
        axis.set_xticks(shares, [share_text(share) for share in shares])
        axis.minorticks_off()
        axis.margins(x=0.12)
        axis.set(title=title, xlabel='share of the labels', ylabel=unit.word)
        axis.legend(loc='best')
        figure.supxlabel(
            'equal steps for all; small dots are seeds, whiskers their standard deviation', fontsize=9.5, color=FAINT
        )
        save(figure, file)
