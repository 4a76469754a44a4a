"""``mmlgd report``."""

import click
from mmengine.logging import MMLogger

from mmlgd.errors import shown
from mmlgd.pages.report import report as _report

from .verbs import verb

report = verb(_report, lambda file: click.echo(f'Written: {shown(file)}'))

MMLogger.get_current_instance().setLevel('WARNING')  # initialising a backbone logs every weight
