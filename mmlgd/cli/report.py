"""``mmlgd report``."""

import click

from mmlgd.errors import shown
from mmlgd.pages.report import report as _report

from .verbs import verb

report = verb(_report, lambda file: click.echo(f'Written: {shown(file)}'), quiet=True)
