"""What all errors about a user's input have in common, so that a program can tell them from faults of its own."""


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
