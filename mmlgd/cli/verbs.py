"""Makes a verb from a Python function: its signature gives the options, its docstring gives the help."""

import inspect
import os
import re
import types
from collections.abc import Iterator
from typing import Any, Callable, Literal, Optional, Union, get_args, get_origin, get_type_hints

import click
from docstring_parser import parse

from mmlgd.errors import MMLGDError
from mmlgd.utils.files import read_small

from .tool import run_tool


class Verb(click.Command):
    """A command whose list options take all following values, as in OpenMMLab's tools: ``--seeds 0 1 2``.

    ``@FILE`` is replaced by the words in the file, where ``#`` starts a comment.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat a list option before each of its values, as click expects."""
        several = {name for option in self.params if getattr(option, 'multiple_values', False) for name in option.opts}
        current, written, is_free = None, [], True
        for arg in _written_out(args):
            is_free = is_free and arg != '--'
            if is_free and arg in several:
                current = arg
            elif is_free and current and not (arg.startswith('-') and not _is_number(arg)):
                written += [current, arg]
            elif arg.startswith(('--local_rank=', '--local-rank=')):  # from torch.distributed.launch
                os.environ.setdefault('LOCAL_RANK', arg.partition('=')[2])
            else:
                current = None
                written.append(arg)
        return super().parse_args(ctx, written)


def _written_out(args: list[str]) -> Iterator[str]:
    for arg in args:
        if arg.startswith('@'):
            try:
                lines = read_small(arg[1:]).decode().splitlines()
            except (MMLGDError, OSError, UnicodeDecodeError) as error:
                raise click.BadParameter(f'{arg}: {error}') from error
            yield from (word for line in lines for word in line.split('#')[0].split())
        else:
            yield arg


class _Option(click.Option):
    multiple_values = False


class _Argument(click.Argument):
    multiple_values = False


def verb(
    function: Callable, show: Callable[[Any], object] = click.echo, complete: Optional[dict[str, Callable]] = None
) -> click.Command:
    r"""Make a command from a function.

    A positional parameter becomes an argument, a keyword parameter an option. ``Optional``, ``Literal``, numbers,
    strings and paths are read as such; a list takes all following values; a dict takes ``KEY=VALUE`` pairs as in
    mmengine's ``DictAction``; a bool is a flag, and ``Union[bool, str]`` a flag with an optional value.

    Args:
        function (Callable): A function with type hints and a Google-style docstring.
        show (Callable): Shows the function's result to the user, unless it is None. Defaults to printing it.
        complete (Dict[str, Callable], optional): Completion by <TAB> of a parameter, as in click's ``shell_complete``.
            Defaults to None: only paths and choices.

    Returns:
        click.Command: A command with the function's name.

    Examples:
        >>> from click.testing import CliRunner
        >>> def add(first: int, *, others: list[int] = ()) -> int:
        ...     '''Add numbers.
        ...
        ...     Args:
        ...         first (int): A number.
        ...         others (List[int]): More of them. Defaults to none.
        ...     '''
        ...     return sum(others, first)
        >>> CliRunner().invoke(verb(add), ['1', '--others', '2', '-3']).output
        '0\n'
    """
    told = parse(inspect.getdoc(function) or '')
    helps = {one.arg_name: _plain(one.description or '') for one in told.params}
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()

    def call(**given: Any) -> None:
        values = {name: value for name, value in given.items() if value is not _UNSET}

        def run() -> None:
            if (result := function(**values)) is not None:
                show(result)

        run_tool(run)

    return Verb(
        function.__name__.replace('_', '-'),
        callback=call,
        params=[
            _parameter(one, hints.get(one.name, str), helps.get(one.name, ''), (complete or {}).get(one.name))
            for one in parameters
        ],
        help=_plain('\n\n'.join(text for text in (told.short_description, told.long_description) if text)),
    )


_UNSET = object()  # then the function's own default applies


def _parameter(
    parameter: inspect.Parameter, hint: Any, text: str, complete: Optional[Callable] = None
) -> click.Parameter:
    kind, is_several, is_pairs, is_switch = _read(hint)
    is_word_too = str in get_args(hint)  # names: one word is a file or a known set, several are a list
    needed = parameter.default is inspect.Parameter.empty

    def convert(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if value is None or value == () and not needed:
            return _UNSET
        if is_pairs:
            return _pairs(value)
        if is_several and is_word_too and len(value) == 1:
            return value[0]
        return True if is_switch and value == _ALONE else list(value) if is_several else value

    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        nargs = -1 if is_several else 1
        return _Argument([parameter.name], type=kind, nargs=nargs, required=needed, callback=convert)
    name = f'--{parameter.name.replace("_", "-")}'
    if kind is bool:
        return _Option([name, parameter.name], is_flag=True, default=None, help=text, callback=convert)
    switch = dict(is_flag=False, flag_value=_ALONE) if is_switch else {}
    option = _Option(
        [name, parameter.name],
        type=kind,
        multiple=is_several or is_pairs,
        required=needed,
        help=text,
        metavar='KEY=VALUE ...' if is_pairs else '[TEXT]' if is_switch else None,
        callback=convert,
        shell_complete=complete,
        **switch,
    )
    option.multiple_values = option.multiple
    return option


_ALONE = 'auto'  # the value of a flag that is given without one


def _read(hint: Any) -> tuple[Any, bool, bool, bool]:
    """Read a type hint: click's type of one value, and whether it is a list, pairs, or a flag with a value."""
    if get_origin(hint) in (Union, getattr(types, 'UnionType', Union)):
        members = [one for one in get_args(hint) if one is not type(None)]
        if bool in members and len(members) > 1:
            return str, False, False, True
        # Of several types, use the most general: a list of names, a dict of settings, a string.
        order = sorted(members, key=lambda one: (get_origin(one) is None and one is not dict, one is not str))
        return _read(order[0])
    origin = get_origin(hint) or hint
    if origin is Literal:
        return click.Choice([str(choice) for choice in get_args(hint)]), False, False, False
    if origin is dict:
        return str, False, True, False
    if inspect.isclass(origin) and issubclass(origin, (list, tuple)) or 'Sequence' in str(origin):
        return _read((get_args(hint) or (str,))[0])[0], True, False, False
    return (click.Path() if 'Path' in str(hint) else hint), False, False, False


def _plain(text: str) -> str:
    """Remove the reference's markup from a text for the terminal."""
    text = re.sub(r':\w+:`~?([^`]*)`', lambda found: found[1].rpartition('.')[2], text)
    return '\n\n'.join(' '.join(part.split()) for part in text.replace('``', '').split('\n\n'))


def _pairs(values: tuple[str, ...]) -> dict:
    """Read ``KEY=VALUE`` pairs like mmengine."""
    import argparse

    from mmengine.config import DictAction  # a large package, which only some calls need

    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument('pairs', nargs='*', action=DictAction)
    for value in values:
        if '=' not in value:
            raise click.BadParameter(f'expected KEY=VALUE, got {value!r}')
    try:
        return parser.parse_args(['--', *values]).pairs
    except RecursionError as error:  # mmengine reads numbers, strings and lists of these
        raise click.BadParameter(f'cannot be read: {" ".join(values)}. Write a dict into a config file.') from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
