"""What a converter has written, for the terminal."""

import click

from mmlgd.converters import Written


def show_written(written: Written) -> None:
    """Tell the file, how it was checked, what is not in it, and the lines that use it."""
    click.echo(f'{written.file}: {written.content}; {written.check}.')
    for note in written.notes:
        click.echo(note)
    click.echo(f'Use it:\n\n{written.usage}')
