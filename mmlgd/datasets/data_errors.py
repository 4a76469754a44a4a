"""An error of any library about a data set, told with the settings that led there."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError, MMLGDError, brief, sentence, shown

from .unwrapping import datasets_in

_KINDS = {
    FileNotFoundError: MissingFileError,
    NotADirectoryError: MissingFileError,
    ImportError: MissingPackageError,
    Exception: ConfigError,
}
_SAID = ('type', 'data_root', 'data_prefix', 'ann_file', 'split', 'classes')


@contextmanager
def data_errors(loader: str, settings: Any) -> Iterator[None]:
    """Say which data an error is about: inside, a data set of any library is built.

    Args:
        loader (str): The data loader, as the config calls it.
        settings (Any): Of its data set.

    Raises:
        MissingFileError: A file or folder is not there.
        MissingPackageError: A package is not installed.
        ConfigError: The data set cannot be built for any other reason.

    Examples:
        >>> with data_errors('val_dataloader', dict(type='VOC', split='minival')):
        ...     raise AssertionError('no such split')
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: val_dataloader cannot be built from type=VOC, split=minival: AssertionError: no such \
split. This was raised by mmlgd.datasets.data_errors, line 2. Put the data there, or correct these settings.
    """
    try:
        yield
    except MMLGDError:
        raise
    except Exception as error:  # for bad data, libraries raise AssertionError, RuntimeError, KeyError, ...
        frame, line = [*traceback.walk_tb(error.__traceback__)][-1]
        sets = (', '.join(f'{key}={brief(one[key])}' for key in _SAID if one.get(key)) for one in datasets_in(settings))
        kind = next(ours for theirs, ours in _KINDS.items() if isinstance(error, theirs))
        advice = 'Install it' if kind is MissingPackageError else 'Put the data there, or correct these settings'
        raise kind(
            f'{loader} cannot be built from {shown("; ".join(sets)) or brief(settings)}: '
            f'{shown(sentence(f"{type(error).__name__}: {error}"))} This was raised by '
            f'{frame.f_globals.get("__name__")}, line {line}. {advice}.'
        ) from error
