"""``mmlgd compare``."""

import click

from mmlgd.studies.compare import compare as run
from mmlgd.studies.compare import table

from .verbs import verb

compare = verb(run, lambda results: click.echo(f'\n{table(results, click.get_current_context().params["metric"])}'))
