"""``mmlgd study``."""

import click

from mmlgd.studies.study import study as run

from .verbs import verb


def show(report: dict) -> None:
    """Print the table."""
    from mmlgd.studies.report import table

    click.echo(f'\n{table(report["summary"])}')


study = verb(run, show)
