"""``mmlgd evaluate``: a table of students."""

import logging
import sys

import click

from mmlgd.errors import shown
from mmlgd.run.evaluating import evaluate as _evaluate

from .verbs import verb


def show(report: dict) -> None:
    """Print the table, the notes, and the files."""
    from mmlgd.evaluation.figures import as_markdown

    for note in report['notes']:
        click.echo(note)
    spread = '; mean ± spread over draws of labels' if '±' in (text := as_markdown(report)) else ''
    click.echo(f'\n{text}\n')
    click.echo(f'Top-1 in per cent{spread}. Also in {shown(report["out"])}: table.md, table.json.')


evaluate = verb(_evaluate, show, quiet=True)

_progress = logging.getLogger('mmlgd.run.evaluating')
_progress.setLevel('INFO')
_progress.addHandler(logging.StreamHandler(sys.stdout))
_progress.propagate = False  # a library may give the root logger a handler, which would say it again
