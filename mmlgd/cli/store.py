"""``mmlgd store``."""

import os
import shlex

import click

from mmlgd.run.storing import StoreResult, store_teacher
from mmlgd.utils.stopping import COMMAND

from .verbs import verb


def show(result: StoreResult) -> None:
    """Describe the store, once for all processes."""
    from mmengine.dist import is_main_process

    from mmlgd.datasets.bad_images import count_text

    if not is_main_process():
        return
    click.echo(count_text(result.bad_images, result.images))
    click.echo(
        f'{result.images} images, {result.views} views each, {result.size / 2**20:.1f} MiB '
        f'({result.size / (result.images * result.views):.0f} bytes per view), {result.seconds:.0f} s.'
    )
    if not os.environ.get(COMMAND, '').startswith('mmlgd pretrain'):  # which goes on with the training itself
        click.echo(f'Train from it:\n  mmlgd train CONFIG --store {shlex.quote(str(result.folder))}')


store = verb(store_teacher, show)
