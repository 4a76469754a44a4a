"""The errors that mmlgd raises about a user's input, so that a program can tell them from its own faults."""

import re
from collections.abc import Iterable
from reprlib import Repr

# torch raises an error of a data loader's process again: of the same class, with the traceback as its message.
_FROM_WORKER = re.compile(r'Caught (\w+) in [^\n]+\nOriginal ')


class MMLGDError(Exception):
    """mmlgd cannot use some input; the message says what it got, what it expected and what to do.

    Each subclass also derives from Python's own class for such an error: :class:`ValueError`; :class:`OSError` for a
    missing file or network; :class:`ImportError` for a missing package. The tools and the command ``mmlgd`` print the
    message without a traceback.

    Examples:
        >>> from mmlgd.errors import MMLGDError
        >>> from mmlgd.text import load_vocabulary
        >>> try:
        ...     names = load_vocabulary(['cat', 'cat'])
        ... except MMLGDError as error:
        ...     print('Give other names:', error)  # doctest: +ELLIPSIS
        Give other names: the list of names holds 'cat' twice...
    """


class ConfigError(MMLGDError, ValueError):
    """A setting that does not exist, has the wrong type or is out of its range."""


class MissingFileError(MMLGDError, FileNotFoundError):
    """A file or folder that does not exist at the given path."""


class DownloadError(MMLGDError, ConnectionError):
    """A file that cannot be fetched from the network."""


class MissingPackageError(MMLGDError, ImportError):
    """An optional package that is not installed or cannot be imported; the message says how to install it."""


def reason_of(error: BaseException) -> str:
    """Return an error's message, without the traceback that torch adds to an error of a data loader's process.

    Args:
        error (BaseException): Any error.

    Returns:
        str: Its reason alone.

    Examples:
        >>> reason_of(ValueError('The image a.jpg is empty.'))
        'The image a.jpg is empty.'
    """
    message = str(error)
    if not (caught := _FROM_WORKER.match(message)):
        return message
    *_, reason = re.split(rf'^(?:[\w.]+\.)?{caught[1]}: ', message, flags=re.MULTILINE)
    return reason.strip()


def sentence(cause: object, most: int = 500) -> str:
    """Write a cause as one sentence on one line, so that advice can follow it.

    Args:
        cause (object): An error, of any library, or its text. An error without a message gives its class.
        most (int): Characters, at most. Defaults to 500.

    Returns:
        str: With a full stop, unless it already ends as a sentence.

    Examples:
        >>> f'{sentence(ValueError("no such size"))} Give another.'
        'no such size. Give another.'
        >>> sentence(KeyError()), sentence('It is damaged.')
        ('KeyError.', 'It is damaged.')
    """
    said = ' '.join(str(cause).split())[:most] or type(cause).__name__
    return said if said.endswith(('.', '!', '?', '…')) else f'{said}.'


class _Brief(Repr):
    """Writes the first few values of each container and of the containers in it, also of subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 3, 200

    def repr1(self, value: object, level: int) -> str:
        if isinstance(value, (str, bytes)):
            return repr(value[: self.maxother])
        if isinstance(value, int) and value.bit_length() > 2048:  # some Pythons refuse to write it
            return f'a number of {value.bit_length()} bits'
        for kind in (dict, list, tuple, set, frozenset):
            if isinstance(value, kind):
                return getattr(self, f'repr_{kind.__name__}')(value, level)
        return super().repr1(value, level)


def brief(value: object, length: int = 100) -> str:
    """Write a value for a message; time and memory do not depend on the size of the value.

    A few bytes of a file can describe nested lists that share their parts. Written out, these would fill any memory.

    Args:
        value (object): Any value, also one from an untrusted file.
        length (int): Characters, at most. Defaults to 100.

    Returns:
        str: The beginning of its ``repr``; for a string, the beginning of the string itself.

    Examples:
        >>> brief('a' * 200, 5)
        'aaaaa'
        >>> brief(list(range(1000)))
        '[0, 1, 2, 3, 4, 5, ...]'
    """
    return (value if isinstance(value, str) else _Brief().repr(value))[:length]


def first_few(values: Iterable) -> str:
    """Write the first five values for a message.

    Args:
        values (Iterable): Any values.

    Returns:
        str: These, and how many there are in all; ``none`` for no values.

    Examples:
        >>> first_few('ab'), first_few(range(20)), first_few([])
        ('a, b', '0, 1, 2, 3, 4, ... (20 in all)', 'none')
    """
    values = [str(value) for value in values]
    return ', '.join(values[:5]) + (f', ... ({len(values)} in all)' if values[5:] else '') if values else 'none'


def shown(name: object) -> str:
    r"""Write a file's name for a message or a log, on one line and without characters that control a terminal.

    Args:
        name (str | Path): As the file system has it: it may hold line breaks, escape codes, characters that turn the
            direction of writing, and bytes that are not UTF-8.

    Returns:
        str: The name with these escaped as in Python, and all others unchanged.

    Examples:
        >>> shown('cat' + chr(10) + 'dog.jpg')
        'cat\\ndog.jpg'
    """
    return ''.join(c if c.isprintable() else ascii(c)[1:-1].replace('\\udc', '\\x') for c in str(name))
