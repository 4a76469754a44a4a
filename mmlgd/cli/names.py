"""``mmlgd names``: a report on class names."""

import click

from mmlgd.errors import shown
from mmlgd.run.naming import NamesReport, report_names

from .verbs import verb

_LINES = 20  # of each list; names.json has all


def show(report: NamesReport) -> None:
    """Print the report; lists that are empty are left out."""
    count = len(report.names)
    pieces = sorted(report.in_pieces.items(), key=lambda one: -one[1])
    senses = sorted(report.senses.items(), key=lambda one: -len(set(one[1])))  # first those of different kinds
    click.echo(f'Effective number of classes, by the names alone: {report.effective:.1f} of {count}')
    if report.images:
        click.echo(f'The same by the answers to {report.images} images: {report.effective_answers:.1f} of {count}')
    _list(
        f'Most alike: {len(report.pairs):,} of {count * (count - 1) // 2:,} pairs, above the 99th percentile, a cosine '
        f'of {report.threshold:.3f}',
        [f'{cosine:.3f}  {shown(one)} – {shown(other)}' for one, other, cosine in report.pairs],
    )
    _list('Cut off: the text tower does not read these to their end', [shown(name) for name in report.cut_off])
    _list(
        'In pieces: words of several tokens, which are rare in the texts of the tokenizer',
        [f'{shown(word)} ({number})' for word, number in pieces],
    )
    _list(
        'Several senses, by WordNet',
        [f'{shown(word)}: {", ".join(dict.fromkeys(kinds))} ({len(kinds)})' for word, kinds in senses],
    )
    if report.images:
        _list(f'Nearest to none of {report.images} images', [shown(name) for name in report.unused])
    click.echo(f'\nIn {shown(report.out)}: names.png, and names.json with all of it.')


def _list(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f'\n{title}:')
        for line in lines[:_LINES]:
            click.echo(f'  {line}')
        if len(lines) > _LINES:
            click.echo(f'  ... and {len(lines) - _LINES} more')


names = verb(report_names, show, quiet=True)
