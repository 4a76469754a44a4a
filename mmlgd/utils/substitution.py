"""Refuse paths and names that look like templates, which mmengine substitutes in the text of a config."""

import re
from collections.abc import Iterator
from typing import Any

from mmlgd.errors import ConfigError

# {{ fileBasename }}, {{ _base_.key }}, {{$VARIABLE:default}}: mmengine looks for them in the raw text of a file. The
# start is enough: the rest may stand in the next string of a list.
_START = re.compile(r'\{\{\s*(?:file(?:Dirname|Basename|Extname)|_base_\.|[\'"]?\s*\$)')


def refuse_substitution(values: Any) -> None:
    """Refuse values that mmengine would change when it reads them from a config file.

    mmengine replaces templates anywhere in the text of a config, also inside a string. The name of a folder would
    change, and the default of an environment variable can hold code. mmengine writes the config of each run into the
    work dir without escaping, so escaping in our configs would not help.

    Args:
        values (Any): A config, or values that will be written into one: dicts, lists and strings.

    Raises:
        ConfigError: A string has the start of a template; the message says where it is.

    Examples:
        >>> refuse_substitution(dict(data_root='/photos/{new} $HOME'))
        >>> refuse_substitution(dict(data_root='/photos/{{ fileBasename }}'))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: data_root is '/photos/{{ fileBasename }}', and mmengine substitutes ...
    """
    for place, text in _strings(values, ''):
        if found := _START.search(text):
            raise ConfigError(
                f'{place} is {text[:200]!r}, and mmengine substitutes what starts with {found[0]!r} in the text of a '
                f'config: the value would change when the config is read again. Rename the folder, the file or the '
                f'name.'
            )


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """List the strings in a value, including keys, with the place of each."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield 'a key', str(key)
            yield from _strings(inner, f'{place}.{key}' if place else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _strings(inner, f'{place}.{index}')
