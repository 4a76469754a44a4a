"""``mmlgd teacher``: what a teacher answers for images."""

import click

from mmlgd.errors import shown
from mmlgd.run.asking import TeacherReport, ask_teacher

from .verbs import verb

_LINES = 30  # of the table; answers.json has all


def show(report: TeacherReport) -> None:
    """Print the answers, the most frequent first."""
    those = 'evenly spread, ' if report.images < report.there else ''
    click.echo(f'{report.images:,} of {report.there:,} images, {those}in {report.seconds:.0f} s')
    click.echo(
        f'The teacher tells {report.told_apart:.1f} of {len(report.names)} names apart on them (1: its answer is '
        f'always the same; all: it is sure of each image).'
    )
    if report.accuracy is not None:
        click.echo(f'It is right on {report.accuracy:.1f} % of them, by their class folders.')
        click.echo('\nanswers: images nearest to a name; right: of these; found: of the images in its folder')
        click.echo(f'\n{"answers":>7}  {"right":>6}  {"found":>6}  name')
    else:
        click.echo(f'\n{"answers":>7}  name')
    for name, count in sorted(report.answers.items(), key=lambda one: -one[1])[:_LINES]:
        shares = [report.right, report.found] if report.accuracy is not None else []
        cells = [f'{share[name]:4.0f} %' if name in share else '–'.rjust(6) for share in shares]
        click.echo('  '.join([f'{count:7}', *cells, shown(name)]))
    if len(report.names) > _LINES:
        click.echo(f'    ... and {len(report.names) - _LINES} more')
    if report.rare:
        rare = ', '.join(map(shown, report.rare[:_LINES]))
        more = f', and {len(report.rare) - _LINES} more' if len(report.rare) > _LINES else ''
        click.echo(f'\nNearly never nearest ({len(report.rare)}): {rare}{more}')
    if report.is_few:
        click.echo(
            '\nThis is little: names will hardly teach a student anything here. This helps: images cropped to the '
            'objects, or a larger --size, if the objects are small; names of what the images show, and no '
            'near-synonyms; another teacher.'
        )
    click.echo(f'\nIn {shown(report.out)}: examples.png and unsure.png, and answers.json with all of it.')


teacher = verb(ask_teacher, show, quiet=True)
