"""What all errors about a user's input have in common, so that a program can tell them from faults of its own."""

import re
from reprlib import Repr

# What torch makes of an error in a data loader's process: one of the same class, with its traceback as the message.
_FROM_WORKER = re.compile(r'Caught (\w+) in [^\n]+\nOriginal ')


class MMLGDError(Exception):
    """Something that mmlgd was given cannot be used; the message says what was got, what was expected, what to do.

    Its kinds also are what Python calls such an error: a :class:`ValueError`, where a file or a network is missing an
    :class:`OSError`, where a package is missing an :class:`ImportError`. The tools and the command ``mmlgd`` print it
    without a traceback.

    Examples:
        >>> from mmlgd.errors import MMLGDError
        >>> from mmlgd.text import load_vocabulary
        >>> try:
        ...     names = load_vocabulary(['cat', 'cat'])
        ... except MMLGDError as error:
        ...     print('Give other names:', error)  # doctest: +ELLIPSIS
        Give other names: the list in the config holds 'cat' twice...
    """


class ConfigError(MMLGDError, ValueError):
    """A setting of a wrong type or outside of its range, or one that does not exist."""


class MissingFileError(MMLGDError, FileNotFoundError):
    """A file or folder that is not where it was said to be."""


class DownloadError(MMLGDError, ConnectionError):
    """A file that cannot be fetched from the network."""


class MissingPackageError(MMLGDError, ImportError):
    """An optional package that is not installed or cannot be imported; the message says how to install it."""


def reason_of(error: BaseException) -> str:
    """Say what an error says, without the traceback in its message where a data loader's process met it.

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


class _Brief(Repr):
    """Writes the first few values of each container, its own kinds or others', and of these the first few."""

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
    """Write a value for a message, in a time and a memory that do not depend on its size.

    A few bytes of a file can make lists in lists that share their parts: written out, they fill any memory.

    Args:
        value (object): Anything, out of a file too.
        length (int): Characters, at most. Defaults to 100.

    Returns:
        str: Its beginning: of a text itself, as ``str`` has it.

    Examples:
        >>> brief('a' * 200, 5)
        'aaaaa'
        >>> brief(list(range(1000)))
        '[0, 1, 2, 3, 4, 5, ...]'
    """
    return (value if isinstance(value, str) else _Brief().repr(value))[:length]


def shown(name: object) -> str:
    r"""Write a file's name for a message or a log, on one line and without what a terminal would obey.

    Args:
        name (str | Path): As the file system has it: it may hold line breaks, escape codes, characters that turn the
            direction of writing, and bytes that are no UTF-8.

    Returns:
        str: These escaped as in Python, all others as they are.

    Examples:
        >>> shown('cat' + chr(10) + 'dog.jpg')
        'cat\\ndog.jpg'
    """
    return ''.join(c if c.isprintable() else ascii(c)[1:-1].replace('\\udc', '\\x') for c in str(name))
