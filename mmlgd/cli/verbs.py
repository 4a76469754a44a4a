"""Makes a verb from a Python function: its signature gives the options, its docstring gives the help."""

import inspect
import re
import types
from pathlib import Path
from typing import Any, Callable, Literal, NamedTuple, Optional, Union, get_args, get_origin

import click

from mmlgd.errors import ConfigError
from mmlgd.stack import check_stack
from mmlgd.utils.options import read_options

from .command import Argument, Option, Verb, go_on_command
from .help_text import help_of
from .tool import run_tool


def verb(
    function: Callable,
    show: Callable[[Any], object] = click.echo,
    complete: Optional[dict[str, Callable]] = None,
    quiet: bool = False,
) -> click.Command:
    r"""Make a command from a function.

    A positional parameter becomes an argument, a keyword parameter an option. ``Optional``, ``Literal``, numbers,
    strings and paths are read as such; a list takes all following values, and ``Union[str, list]`` is a string if there
    is one of them; a dict takes ``KEY=VALUE`` pairs, see :func:`~mmlgd.utils.options.read_options`; a bool is a flag,
    and ``Union[bool, str]`` a flag with an optional value.

    Args:
        function (Callable): A function with type hints and a Google-style docstring.
        show (Callable): Shows the function's result to the user, unless it is None. Defaults to printing it.
        complete (Dict[str, Callable], optional): Completion by <TAB> of a parameter, as in click's ``shell_complete``.
            Defaults to None: only paths and choices.
        quiet (bool): Of mmengine's log, show the warnings alone: its other lines would be among the results. Defaults
            to False.

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
    parameters = inspect.signature(function).parameters.values()
    options = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    description, helps = help_of(inspect.getdoc(function) or '', options)

    def call(**given: Any) -> None:
        values = {name: value for name, value in given.items() if value is not _UNSET}

        def run() -> None:
            _require_stack()
            if (result := function(**values)) is not None:
                show(result)

        run_tool(run, go_on_command(click.get_current_context()), quiet)

    return Verb(
        function.__name__.replace('_', '-'),
        callback=call,
        params=[
            _parameter(one, one.annotation, helps.get(one.name, ''), (complete or {}).get(one.name))
            for one in parameters
        ],
        help=description,
    )


def _require_stack() -> None:
    """Name a stack outside the ranges before its import errors appear."""
    try:
        check_stack()
    except ImportError as error:
        raise SystemExit(f'error: {error}\n`mmlgd doctor` checks the whole environment.') from error


_UNSET = object()  # then the function's own default applies


def _parameter(parameter: inspect.Parameter, hint: Any, text: str, complete: Optional[Callable]) -> click.Parameter:
    kind = _read(hint)
    needed = parameter.default is inspect.Parameter.empty

    def convert(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        if value is None or value == () and not needed:
            return _UNSET
        if kind.is_pairs:
            try:
                return read_options(value)
            except ConfigError as error:
                raise click.BadParameter(str(error), ctx, param) from error
        if kind.is_several:  # names: one word is a file or a known set, several are a list
            return value[0] if kind.is_one_a_string and len(value) == 1 else list(value)
        return True if kind.is_switch and value == _ALONE else value

    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        nargs = -1 if kind.is_several else 1
        return Argument([parameter.name], type=kind.type, nargs=nargs, required=needed, callback=convert, text=text)
    name = f'--{parameter.name.replace("_", "-")}'
    if kind.type is bool:
        return Option([name, parameter.name], is_flag=True, default=None, help=text, callback=convert)
    return Option(
        [name, parameter.name],
        type=kind.type,
        takes_all=kind.is_several or kind.is_pairs,
        takes_none=kind.is_switch,
        required=needed,
        help=text,
        metavar=_metavar(parameter.name, kind, text),
        callback=convert,
        shell_complete=complete,
        **(dict(is_flag=False, flag_value=_ALONE) if kind.is_switch else {}),
    )


_ALONE = 'auto'  # the value of a flag that is given without one


class _Kind(NamedTuple):
    """What an option takes: click's type of one value, and whether it is several, pairs, or a flag with a value."""

    type: Any
    is_several: bool = False
    is_pairs: bool = False
    is_switch: bool = False
    is_one_a_string: bool = False  # a single value of several is handed over as a string: a file, a set of names


def _read(hint: Any) -> _Kind:
    if get_origin(hint) in (Union, getattr(types, 'UnionType', Union)):
        members = [one for one in get_args(hint) if one is not type(None)]
        text = click.Path() if Path in members else str
        if bool in members and len(members) > 1:
            return _Kind(text, is_switch=True)
        # Of several types, use the most general: a list of names, a dict of settings, a path, a string.
        order = sorted(members, key=lambda one: (get_origin(one) is None and one not in (dict, list), one is not str))
        return _Kind(text) if order[0] is str else _read(order[0])._replace(is_one_a_string=str in members)
    origin = get_origin(hint) or hint
    if origin is Literal:
        return _Kind(click.Choice([str(choice) for choice in get_args(hint)]))
    if origin is dict:
        return _Kind(str, is_pairs=True)
    if inspect.isclass(origin) and issubclass(origin, (list, tuple)) or 'Sequence' in str(origin):
        return _Kind(_read((get_args(hint) or (str,))[0]).type, is_several=True)
    return _Kind(click.Path() if 'Path' in str(hint) else hint)


def _metavar(name: str, kind: _Kind, text: str) -> str:
    """Write an option's value for the help: ``NAME...`` for several, or ``NAME=VALUE...`` if its text starts so."""
    if kind.is_pairs:
        return 'KEY=VALUE...'
    if kind.is_several:
        pair = re.match(r'[A-Z]+=[\w.]+', text)
        return f'{pair[0] if pair else name.removesuffix("s").upper()}...'
    if isinstance(kind.type, click.Choice):
        return '|'.join(kind.type.choices)
    word = {str: 'TEXT', int: 'NUMBER', float: 'NUMBER'}.get(kind.type, 'PATH')
    return f'[{word}]' if kind.is_switch else word
