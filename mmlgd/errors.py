"""What all errors about a user's input have in common, so that a program can tell them from faults of its own."""

from typing import Callable


class MMLGDError(Exception):
    """Something that mmlgd was given cannot be used; the message says what was got, what was expected, what to do.

    Its kinds also are what Python calls such an error: a :class:`ValueError`, or where a file or a network is missing
    an :class:`OSError`. The tools and the command ``mmlgd`` print it without a traceback.

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


def run_tool(main: Callable[[], object]) -> None:
    """Run a tool; what is wrong with its input is said in one paragraph, with exit code 1 and without a traceback.

    Args:
        main (Callable): Of the tool. Other errors are faults, and keep their traceback.

    Raises:
        SystemExit: What it was given cannot be used.
    """
    try:
        main()
    except MMLGDError as error:
        raise SystemExit(f'error: {error}') from error
