"""``KEY=VALUE`` options of a command line: changes to a config, read and written in mmengine's notation."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmlgd.errors import ConfigError, brief

from .validation import require

_BRACKETS = ('[', '(')


def read_options(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs in the notation of mmengine's ``DictAction``, but keep blanks.

    Args:
        pairs (Iterable[str]): Texts such as ``a.b=1``, ``names=[cat,dog]`` or ``data_root=/my images``.

    Returns:
        Dict[str, Any]: Values by key: numbers, strings, booleans, None, and lists and tuples of these.

    Raises:
        ConfigError: A text is no pair, or mmengine cannot read its value as it is written.

    Examples:
        >>> read_options(['a.b=1', 'names=[cat,dog]', 'data_root=/my images'])
        {'a.b': 1, 'names': ['cat', 'dog'], 'data_root': '/my images'}
    """
    from mmengine.config import DictAction  # a large package, which the help of a verb does not need

    found = {}
    for pair in pairs:
        key, equals, text = pair.partition('=')
        require(bool(key and equals), f'expected KEY=VALUE, got {brief(pair)!r}')
        try:
            value = DictAction._parse_iterable(text)
        except (AssertionError, RecursionError) as error:  # unbalanced brackets, also those inside a string
            raise ConfigError(f'{brief(pair)} cannot be read: {_ADVICE}') from error
        if isinstance(value, str):
            value = text.strip('\'"')  # mmengine removes all blanks
        elif re.search(r'[^\s,\[\]()]\s+[^\s,\[\]()]', text):
            raise ConfigError(f'{brief(pair)} has an item with a blank, which mmengine would remove: {_ADVICE}')
        found[key] = value
    return found


def write_options(options: Mapping[str, Any]) -> list[str]:
    """Write options as ``KEY=VALUE`` pairs, so that :func:`read_options` reads the same values.

    Args:
        options (Mapping[str, Any]): Values by key.

    Returns:
        List[str]: A pair for each key.

    Raises:
        ConfigError: A value, for example a dict, cannot be written in this notation.

    Examples:
        >>> write_options({'model.depth': 18, 'names': ['cat', 'dog']})
        ['model.depth=18', 'names=[cat,dog]']
    """
    pairs = [f'{key}={_text(value)}' for key, value in options.items()]
    for (key, value), pair in zip(options.items(), pairs):
        try:
            read = read_options([pair])
        except ConfigError:
            read = None
        # The type counts, too: 1 == True, and a list is no tuple.
        if repr(read) != repr({key: value}):
            raise ConfigError(f'{key}={brief(repr(value))} cannot be given as an option of a command: {_ADVICE}')
    return pairs


_ADVICE = 'write it into a config file instead, on top of the config (_base_ = ...).'


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        start, end = '[]' if isinstance(value, list) else '()'
        return start + ','.join(map(_text, value)) + end
    return str(value)
