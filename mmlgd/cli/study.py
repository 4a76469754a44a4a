"""``mmlgd study``."""

import click

from mmlgd.studies.report import table
from mmlgd.studies.study import study as run

from .verbs import verb

study = verb(run, lambda report: click.echo(f'\n{table(report["summary"])}'))
