"""Config files: finding them by path or by package, and reading them with errors that say what to do."""

import copy
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Union

from mmengine.config import Config

from mmlgd.errors import ConfigError, MissingFileError

from .files import read_small
from .paths import RECIPE_HEAD, place_of


def read_config(config: Union[str, Path, Config]) -> Config:
    """Read a config.

    Args:
        config (str | Path | Config): A file, a name in an installed package such as ``'mmlgd::lgd/NAME.py'``, or a
            config, which is copied.

    Returns:
        Config: A config that may be changed.

    Raises:
        MissingFileError: There is no such config.
        ConfigError: It does not fit its bases, for example after an update of mmlgd.

    Examples:
        >>> read_config('mmlgd::lgd/lgd_resnet18_1xb256-coslr-200e_images.py').model.type
        'mmlgd.LGD'
    """
    if isinstance(config, Config):
        return copy.deepcopy(config)
    package, named, name = str(config).partition('::')
    file = _configs_of(package) / name if named else Path(config)
    if not file.is_file():
        raise MissingFileError(
            f'There is no config at {str(file)!r}. The configs of mmlgd are in {str(place_of("configs"))!r}.'
        )
    try:
        return Config.fromfile(file)
    except (AttributeError, KeyError, OSError) as error:  # a name or a file that its bases do not have
        raise ConfigError(_unfit(file, error)) from error


def _configs_of(package: str) -> Path:
    """Find the configs of a package. mmengine's own function may install another version of the package."""
    if package == 'mmlgd':
        return place_of('configs')
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.origin:
        raise MissingFileError(f'{package!r} is not installed. Install it, or give the path of a config.')
    return Path(spec.origin).parent / '.mim' / 'configs'


def _unfit(file: Path, error: Exception) -> str:
    """Explain an error of a config that its own lines or its bases raise."""
    # mmengine runs a config as a module; of several, the last is where the error arose.
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    place = f'{lines[-1].filename}, line {lines[-1].lineno}' if lines else str(file)
    source = Path(lines[-1].filename) if lines else file
    said = f'The config {str(file)!r} cannot be read: {type(error).__name__}: {error} ({place}).'
    if read_small(source).startswith(RECIPE_HEAD.encode()):
        return (
            f'{said} It was written by an earlier version of mmlgd. Write it again: run its `mmlgd pretrain ...` with '
            f'--overwrite, or with another --work-dir if the old run is to stay.'
        )
    return f'{said} Compare what it takes from its _base_ with those files; an update may have renamed it.'
