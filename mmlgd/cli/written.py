"""Describes a converter's result on the terminal."""

import click

from mmlgd.converters.written import Written


def show_written(written: Written) -> None:
    """Print the file, how it was checked, what is missing in it, and code that uses it."""
    click.echo(f'{written.file}: {written.content}; {written.check}.')
    for note in written.notes:
        click.echo(note)
    click.echo(f'Use it:\n\n{written.usage}')
