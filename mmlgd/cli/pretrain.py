"""``mmlgd pretrain``: the function as a command, with completion of names."""

import functools
import sys

import click
from click.shell_completion import CompletionItem

from mmlgd.errors import MMLGDError
from mmlgd.run.child import RunError
from mmlgd.run.pretrain import pretrain as function
from mmlgd.run.students import list_students

from .verbs import verb

# A test compares with mmlgd.text.
SETS = (
    *('ade20k', 'ade20k+phrasings', 'caltech256', 'cityscapes', 'cityscapes+phrasings', 'coco'),
    *('coco-stuff', 'coco-stuff+phrasings', 'in1k', 'in1k+phrasings', 'lvis-v1', 'lvis-v1+phrasings'),
)


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the known sets; the shell completes files."""
    sets = [CompletionItem(name) for name in SETS if name.startswith(incomplete)]
    return [*sets, CompletionItem(incomplete, type='file')]


def _students(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the paper's two students and the libraries; after a colon, the library's names."""
    if ':' in incomplete:
        return list_students(incomplete)
    return [name for name in ('resnet18', 'mobilenetv2', 'timm:', 'mmpretrain:') if name.startswith(incomplete)]


@functools.wraps(function)
def _pretrain(names, **options):
    try:
        return function(names=dict(union=names) if isinstance(names, list) else names, **options)
    except RunError as error:
        sys.exit(error.code)  # its output has the reason
    except (ImportError, OSError) as error:
        if isinstance(error, MMLGDError):
            raise
        hint = '\n`mmlgd doctor` checks the whole environment.' if isinstance(error, ImportError) else ''
        raise SystemExit(f'error: {error}{hint}') from error


def _list(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo('\n'.join(list_students()))
        ctx.exit()


pretrain = verb(_pretrain, show=lambda result: None, complete=dict(names=_names, student=_students))
_help = 'Show the names of all students and exit.'
pretrain.params.append(
    click.Option(['--list-students'], is_flag=True, is_eager=True, expose_value=False, callback=_list, help=_help)
)
