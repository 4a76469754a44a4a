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
    click.echo(f'\n{as_markdown(report)}\n')
    out = shown(report['out'])
    click.echo(f'Top-1 in per cent; mean ± spread over draws of labels. Also in {out}: table.md, table.json.')


evaluate = verb(_evaluate, show)

MMLogger.get_current_instance().setLevel('WARNING')  # initialising a backbone logs every weight
_progress = logging.getLogger('mmlgd.evaluation')
_progress.setLevel('INFO')
_progress.addHandler(logging.StreamHandler(sys.stdout))
