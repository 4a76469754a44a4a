"""A command of click whose list options take all values that follow, with help for its arguments, too."""

import os
import shlex
from collections.abc import Iterator
from typing import Optional

import click

from mmlgd.errors import MMLGDError, sentence
from mmlgd.utils.files import read_small

_TYPED = 'mmlgd.typed'


class Verb(click.Command):
    """A command whose list options take all following values, as in OpenMMLab's tools: ``--seeds 0 1 2``.

    So its usage and its help have the arguments first. ``@FILE`` is replaced by the words in the file, where ``#``
    starts a comment.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat a list option before each of its values, as click expects."""
        kinds = {name: option for option in self.params if isinstance(option, Option) for name in option.opts}
        taken: dict[str, list[str]] = {}  # values by option, of options that can take an argument by mistake
        current, written, is_free = None, [], True
        for arg in _written_out(args):
            is_free = is_free and arg != '--'
            is_value = is_free and current is not None and not (arg.startswith('-') and not _is_number(arg))
            if is_free and arg in kinds:
                current = arg if kinds[arg].takes_all or kinds[arg].takes_none else None
                written += [] if kinds[arg].takes_all else [arg]
            elif is_value:
                taken.setdefault(current, []).append(arg)
                written += [current, arg] if kinds[current].takes_all else [arg]
                current = current if kinds[current].takes_all else None
            elif arg.startswith(('--local_rank=', '--local-rank=')):  # from torch.distributed.launch
                os.environ.setdefault('LOCAL_RANK', arg.partition('=')[2])
            else:
                current = None
                written.append(arg)
        try:
            return super().parse_args(ctx, written)
        except click.UsageError as error:
            if not (hint := self._swallowed(ctx, error, taken) or _expanded(error)):
                raise
            raise click.UsageError(f'{error.format_message().rstrip(".")}. {hint}', ctx) from error

    def make_context(self, info_name: Optional[str], args: list[str], *others, **options) -> click.Context:
        """Keep the arguments as they were typed."""
        typed = list(args)
        context = super().make_context(info_name, args, *others, **options)
        context.meta[_TYPED] = typed
        return context

    def _swallowed(self, ctx: click.Context, error: click.UsageError, taken: dict[str, list[str]]) -> str:
        """Explain an error whose reason may be an option that took an argument as its value."""
        if not self._arguments(ctx):  # nothing to take by mistake
            return ''
        missing = isinstance(error, click.MissingParameter) and isinstance(error.param, click.Argument)
        param = getattr(error, 'param', None)
        options = taken if missing else [name for name in taken if name in getattr(param, 'opts', ())]
        told = '; '.join(f'{name} has taken {" ".join(taken[name])!r}' for name in options)
        pieces = ' '.join([ctx.command_path, *self._arguments(ctx)])
        return (
            told and f'{told}: it takes what follows it. Give the arguments first: {pieces} {next(iter(options))} ...'
        )

    def _arguments(self, ctx: click.Context) -> list[str]:
        arguments = [param for param in self.get_params(ctx) if isinstance(param, click.Argument)]
        return [piece for argument in arguments for piece in argument.get_usage_pieces(ctx)]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """List the arguments first, then the options that are required."""
        required = [param for param in self.get_params(ctx) if isinstance(param, Option) and param.required]
        return [*self._arguments(ctx), *(f'{one.opts[0]} {one.metavar}' for one in required), '[OPTIONS]']

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Describe the arguments, then the options."""
        rows = [(param.human_readable_name, param.text) for param in self.params if isinstance(param, Argument)]
        if rows:
            with formatter.section('Arguments'):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)


class Option(click.Option):
    """An option of a verb.

    Args:
        takes_all (bool): It takes all values that follow it. Defaults to False.
        takes_none (bool): It takes a value or none. Defaults to False.
    """

    def __init__(self, *args, takes_all: bool = False, takes_none: bool = False, **kwargs):
        super().__init__(*args, multiple=takes_all, **kwargs)
        self.takes_all, self.takes_none = takes_all, takes_none


class Argument(click.Argument):
    """An argument of a verb.

    Args:
        text (str): Its help.
    """

    def __init__(self, *args, text: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.text = text  # not `help`, which a newer click lists in a section of its own


def go_on_command(context: click.Context) -> str:
    """Write the command that goes on with a run: as it was typed, with ``--resume`` if there is such an option.

    Args:
        context (click.Context): Of a verb.

    Returns:
        str: The command for a shell.
    """
    typed, known = context.meta[_TYPED], {name for option in context.command.params for name in option.opts}
    resume = ['--resume'] if '--resume' in known and '--resume' not in typed else []
    typed = [word for word in typed if word != '--overwrite']  # which starts another run
    return shlex.join([*context.command_path.split(), *typed, *resume])


def _expanded(error: click.UsageError) -> str:
    """Explain words that nobody typed: a shell has expanded the braces of a pattern."""
    is_pattern = 'extra argument' in error.message and '.tar' in error.message
    return "If this is of a pattern of shards, put it in quotes: 'train-{000000..000009}.tar'." if is_pattern else ''


def _written_out(args: list[str]) -> Iterator[str]:
    for arg in args:
        if arg.startswith('@'):
            if os.path.isdir(arg[1:]):
                raise click.BadParameter(
                    f'{arg} stands for the words in a text file, but {arg[1:]!r} is a folder. Give a file in it, or '
                    f'leave out the @ if the folder itself is meant.'
                )
            try:
                lines = read_small(arg[1:]).decode().splitlines()
            except (MMLGDError, OSError, UnicodeDecodeError) as error:
                raise click.BadParameter(f'{arg}: {sentence(error)}') from error
            yield from (word for line in lines for word in line.split('#')[0].split())
        else:
            yield arg


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
