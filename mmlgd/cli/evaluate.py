"""``mmlgd evaluate``: a table of students."""

import logging
import sys

import click
from mmengine.logging import MMLogger

from mmlgd.errors import shown
from mmlgd.evaluation import as_markdown
from mmlgd.evaluation import evaluate as _evaluate

from .verbs import verb


def show(report: dict) -> None:
    """Print the table, the notes, and the files."""
    for note in report['notes']:
        click.echo(note)
    spread = '; mean ± spread over draws of labels' if '±' in (text := as_markdown(report)) else ''
    click.echo(f'\n{text}\n')
    click.echo(f'Top-1 in per cent{spread}. Also in {shown(report["out"])}: table.md, table.json.')


evaluate = verb(_evaluate, show)

MMLogger.get_current_instance().setLevel('WARNING')  # initialising a backbone logs every weight
_progress = logging.getLogger('mmlgd.evaluation')
_progress.setLevel('INFO')
_progress.addHandler(logging.StreamHandler(sys.stdout))
