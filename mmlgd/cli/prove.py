"""``mmlgd prove``."""

import click

from mmlgd.studies.prove import page
from mmlgd.studies.prove import prove as run

from .verbs import verb

prove = verb(run, lambda report: click.echo(f'\n{page(report)}'))
