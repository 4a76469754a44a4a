"""An error of any library about the data of a run, told with the settings that led there."""

import traceback
from typing import Any

from mmlgd.datasets.unwrapping import datasets_in
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError, MMLGDError, brief, sentence, shown

_KINDS = {
    FileNotFoundError: MissingFileError,
    NotADirectoryError: MissingFileError,
    ImportError: MissingPackageError,
    Exception: ConfigError,
}
_SAID = ('type', 'data_root', 'data_prefix', 'ann_file', 'split', 'classes')


def unreadable(error: Exception, loader: str, settings: Any) -> MMLGDError:
    """Say where a library's error comes from, and which data it is about.

    Args:
        error (Exception): What the library raised.
        loader (str): The data loader, as the config calls it.
        settings (Any): Of the data loader.

    Returns:
        MMLGDError: The error to raise from that of the library: a file or a package is missing, or the config is wrong.
    """
    frame, line = [*traceback.walk_tb(error.__traceback__)][-1]
    sets = datasets_in(settings.get('dataset')) if isinstance(settings, dict) else ()
    data = '; '.join(', '.join(f'{key}={brief(one[key])}' for key in _SAID if one.get(key)) for one in sets)
    reason = sentence(f'{type(error).__name__}: {error}')
    kind = next(ours for theirs, ours in _KINDS.items() if isinstance(error, theirs))
    advice = 'Install it' if kind is MissingPackageError else 'Put the data there, or correct these settings'
    return kind(
        f'{loader} cannot be built from {shown(data) or brief(settings)}: {shown(reason)} This was raised by '
        f'{frame.f_globals.get("__name__")}, line {line}. {advice}.'
    )
