"""``mmlgd replay``."""

from typing import TYPE_CHECKING

import click

from mmlgd.run.replaying import replay as function

from .verbs import verb

if TYPE_CHECKING:
    from mmlgd.engine.numerics.replay import Replay


def show(found: 'Replay') -> None:
    """Print what is broken in the step."""
    from mmlgd.utils.numerics import usable_rows

    click.echo(f'broken in the run:    {", ".join(found.recorded)}')
    click.echo(f'broken in the replay: {", ".join(found.broken) or "nothing"}')
    for name, value in found.losses.items():
        click.echo(f'  {name}: {value:.6g}')
    if found.gradients:
        click.echo(f'gradients with NaN or Inf: {len(found.gradients)} parameters, the first {found.gradients[0]}')
    fine = found.student.isfinite().all(dim=1) & usable_rows(found.teacher)
    for path, student, teacher, good in zip(found.paths, found.student, found.teacher, fine.tolist()):
        if not good:
            click.echo(
                f'  {path}: length of the embeddings: student {student.norm():.4g}, teacher {teacher.norm():.4g}'
            )


replay = verb(function, show)
