"""Check settings against the signature that takes them: the names of settings and the types of values."""

import argparse
import difflib
import functools
import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Callable, Union, get_args, get_origin, get_type_hints

from mmlgd.errors import ConfigError, brief


class NumberError(ConfigError, argparse.ArgumentTypeError):
    """A number out of its range; a command line shows the same message."""


def checked_settings(init: Callable) -> Callable:
    """Make a constructor refuse unknown settings, and values whose type differs from its annotation.

    Configs come from files and command lines, where people easily write ``'0.5'`` and ``True`` for 0.5 and 1. The
    constructor itself checks ranges. A class says in ``moved`` what has become of settings of earlier versions.

    Args:
        init (Callable): An ``__init__`` whose parameters are annotated.

    Returns:
        Callable: The same constructor, with the check before it.

    Examples:
        >>> from mmlgd import LGDLoss
        >>> LGDLoss(temperature=0.2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: LGDLoss has no setting temperature. Did you mean student_temperature? It takes ...
    """
    signature = inspect.signature(init)
    owner = init.__qualname__.split('.')[0]

    @functools.wraps(init)
    def checked(self, *args, **kwargs):
        try:
            given = signature.bind(self, *args, **kwargs).arguments
        except TypeError as error:
            moved = getattr(type(self), 'moved', {})
            raise ConfigError(_misnamed(owner, signature, args, kwargs, error, moved)) from error
        _check_types(owner, init, given)
        init(self, *args, **kwargs)

    return checked


def check_settings(owner: str, init: Callable, settings: Mapping[str, Any]) -> None:
    """Check some settings of a constructor as :func:`checked_settings` does, before anything is built.

    Args:
        owner (str): Where they are, for the error.
        init (Callable): The constructor.
        settings (Mapping): Values by name; others may be missing.

    Raises:
        ConfigError: It has no such setting, or one has another type.

    Examples:
        >>> from mmlgd import LGDLoss
        >>> check_settings('model.loss', LGDLoss.__init__, dict(temperature=0.2))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: model.loss has no setting temperature. Did you mean student_temperature? It takes ...
    """
    signature = inspect.signature(init)
    try:
        given = signature.bind_partial(None, **settings).arguments
    except TypeError as error:
        raise ConfigError(_misnamed(owner, signature, (), settings, error, {})) from error
    _check_types(owner, init, given)


def require(holds: bool, message: str) -> None:
    """Refuse a setting out of its range.

    Args:
        holds (bool): The condition on the setting; comparisons with NaN are False.
        message (str): What was expected and what was got.

    Raises:
        ConfigError: It does not hold.
    """
    if not holds:
        raise ConfigError(message)


def listed(values: Any) -> list:
    """Take a single value for a list of one: a string is never a list of its letters.

    Args:
        values (Any): A value, or a list, tuple or another iterable of values.

    Returns:
        list: The values.

    Examples:
        >>> listed('10%'), listed(3), listed(('a', 'b'))
        (['10%'], [3], ['a', 'b'])
    """
    return list(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, dict)) else [values]


def whole(name: str, least: int, most: int) -> Callable[[Union[int, str]], int]:
    """Make a check for whole numbers, for configs and as the ``type`` of a command-line argument.

    Args:
        name (str): What the number is, for the error.
        least (int): The smallest that is allowed.
        most (int): The largest.

    Returns:
        Callable: Takes a number or its text and returns the number; raises :class:`NumberError` for anything else.

    Examples:
        >>> whole('a seed', 0, 9)('7')
        7
        >>> whole('a seed', 0, 9)(-1)
        Traceback (most recent call last):
        mmlgd.utils.validation.NumberError: expected a seed from 0 to 9, a whole number; got '-1'
    """

    def checked(value: Union[int, str]) -> int:
        text = str(value)
        # int() also takes '1_000' and other scripts' digits, and has an error of its own for thousands of digits.
        if not re.fullmatch('[+-]?[0-9]{1,25}', text) or not least <= int(text) <= most:
            raise NumberError(f'expected {name} from {least} to {most}, a whole number; got {brief(value)!r}')
        return int(text)

    return checked


def above_zero(value: Union[float, str]) -> float:
    """Take a finite number above 0.

    Args:
        value (float | str): A number, or its text on the command line.

    Returns:
        float: The number.

    Raises:
        NumberError: The value is not a finite number above 0.

    Examples:
        >>> above_zero('0.01')
        0.01
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number < math.inf:
        raise NumberError(f'expected a number above 0, got {brief(value, 50)!r}')
    return number


def _misnamed(
    owner: str,
    signature: inspect.Signature,
    args: tuple,
    kwargs: Mapping[str, Any],
    error: TypeError,
    moved: dict[str, str],
) -> str:
    known = [name for name, p in signature.parameters.items() if name != 'self' and p.kind is not p.VAR_KEYWORD]
    unknown = [str(name) for name in kwargs if name not in known]
    if not unknown or args:
        return f'{owner} cannot be built: {error}. It takes {", ".join(known)}.'
    if unknown[0] in moved:
        return f'{owner} has no setting {unknown[0]} any more. {moved[unknown[0]]}'
    close = [name for name in known if unknown[0] in name or difflib.get_close_matches(unknown[0], [name])]
    hint = f' Did you mean {close[0]}?' if close else ''
    return f'{owner} has no setting {unknown[0]}.{hint} It takes {", ".join(known)}.'


def _check_types(owner: str, init: Callable, given: Mapping[str, Any]) -> None:
    hints = get_type_hints(init)
    for name, value in given.items():
        if name in hints and not _is_a(value, hints[name]):
            raise ConfigError(
                f'{owner} takes {_words(hints[name])} as {name}, got {brief(value)!r}, a {type(value).__name__}. '
                f'Change it in the config, or leave it out where it has a default.'
            )


def _is_a(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Union:
        return any(_is_a(value, part) for part in parts)
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if origin is tuple:  # a config file may have a list for it
        return isinstance(value, (list, tuple)) and len(value) == len(parts) and all(map(_is_a, value, parts))
    if origin in (list, Sequence) or hint is list:
        return isinstance(value, (list, tuple)) and all(_is_a(one, part) for one in value for part in parts)
    return isinstance(value, origin or hint)


def _words(hint: Any) -> str:
    parts = get_args(hint) if get_origin(hint) is Union else (hint,)
    names = ['none' if part is type(None) else str(getattr(part, '__name__', part)) for part in parts]
    return ' or '.join(names)
