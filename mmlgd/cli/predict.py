"""``mmlgd predict``: class names for images."""

import os

import click

from mmlgd.errors import shown
from mmlgd.run.predicting import predict as _predict

from .verbs import verb


def show(results: list[dict]) -> None:
    """Print a line for each image: its names with their scores, best first; and to the terminal, where files are."""
    asked = click.get_current_context().params
    places = [shown(str(asked[place])) for place in ('out', 'show_dir') if isinstance(asked[place], (str, os.PathLike))]
    if places:
        count = '1 image' if len(results) == 1 else f'{len(results):,} images'
        click.echo(f'{count}, in {" and ".join(places)}', err=True)  # the lines are results
    for result in results:
        names = ', '.join(f'{shown(name)} {score:.3f}' for name, score in result['names'])
        click.echo(f'{shown(result["image"])}: {names}')


predict = verb(_predict, show, quiet=True)
