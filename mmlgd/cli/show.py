"""``mmlgd show map|banks|neighbours``."""

from pathlib import Path
from typing import Union

import click

from mmlgd.run.drawing import draw_banks, draw_map, draw_neighbours

from .verbs import verb


def _say(files: Union[Path, list[Path]]) -> None:
    for file in files if isinstance(files, list) else [files]:
        click.echo(f'Drawn: {file}')


class _Figures(click.Group):
    """The figures, each with the whole first sentence of its help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe each figure; click would cut the description to a line."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in self.commands.items()])


@click.group(cls=_Figures)
def show() -> None:
    """Draw figures: a map, the banks, nearest names."""


for _name, _function in (('map', draw_map), ('banks', draw_banks), ('neighbours', draw_neighbours)):
    show.add_command(verb(_function, _say), _name)
