"""Reads configs: from files, by name in an installed package, and as objects."""

import copy
import re
import traceback
from functools import reduce
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config
from mmengine.config.config import DELETE_KEY

from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError, MMLGDError, brief, sentence

from .files import read_small
from .option_keys import check_keys, setting_at
from .paths import RECIPE_HEAD, place_of

_SUFFIXES = ('.py', '.yml', '.yaml', '.json')  # mmengine's
_WORDS = ('auto', 'dynamic')  # settings of ours and of mmengine's loss scaler take them in place of a number


def kind_of(settings: dict) -> str:
    """Name the class of a part.

    Args:
        settings (dict): Settings with a ``type``: a name, with or without a scope, or the class itself.

    Returns:
        str: The name without a scope.

    Examples:
        >>> kind_of(dict(type='mmlgd.LGD')), kind_of(dict(type=Path))
        ('LGD', 'Path')
    """
    kind = settings.get('type')
    return getattr(kind, '__name__', str(kind)).split('.')[-1]


def read_config(config: Union[str, Path, Config]) -> Config:
    """Read a config.

    Args:
        config (str | Path | Config): A file, a name in an installed package such as ``'mmlgd::lgd/NAME.py'``, or a
            config, which is copied.

    Returns:
        Config: A config that may be changed, with a ``model``.

    Raises:
        MissingFileError: There is no such config.
        MissingPackageError: It imports what is not installed, or is for mmdetection or mmsegmentation, which is not.
        ConfigError: It is not a config, cannot be read, or has no ``model``.

    Examples:
        >>> read_config('mmlgd::lgd/lgd_resnet18_1xb256-coslr-200e_images.py').model.type
        'mmlgd.LGD'
    """
    if not isinstance(config, (str, Path, Config)):
        raise ConfigError(
            f'A config is a file, a name such as mmlgd::lgd/NAME.py, or a Config of mmengine; got a '
            f'{type(config).__name__}, {brief(config)}. Of a dict, make one: mmengine.config.Config(dict(model=...)).'
        )
    read = copy.deepcopy(config) if isinstance(config, Config) else _of_file(_file_of(str(config)))
    if not isinstance(read.get('model'), dict):
        name = 'The config' if isinstance(config, Config) else config
        got = f'model={brief(read.model)}' if 'model' in read else f'the settings {brief(list(read))}'
        raise ConfigError(
            f'{name} has no model, a dict of settings; it has {got}. Give the config of a model, or name one as _base_.'
        )
    require_library(read.get('default_scope'))
    return read


def require_library(scope: Optional[str]) -> None:
    """Refuse detectors and segmentors without their library: mmengine would say that a class is in no registry.

    Args:
        scope (str, optional): ``default_scope`` of a config.

    Raises:
        MissingPackageError: It is that of a library that is not installed.
    """
    if scope in ('mmdet', 'mmseg') and find_spec(scope) is None:
        raise MissingPackageError(
            f'This needs {scope}, which is not installed. Install it beside this stack: pip install '
            f'"mmlgd[openmmlab-dense]", or "mmlgd[onedl-dense]" for the fork.'
        )


def merge_options(cfg: Config, options: Optional[dict[str, Any]]) -> None:
    """Change settings of a config; misspelt ones are refused, and texts where the config has a number.

    Args:
        cfg (Config): The config, which is changed.
        options (dict, optional): From ``key.subkey`` or ``key.0.subkey`` to values.

    Raises:
        ConfigError: An option does not fit the config, nothing reads the setting that it names, or its value is a text
            where the config has a number.

    Examples:
        >>> cfg = Config(dict(train_cfg=dict(max_epochs=90)))
        >>> merge_options(cfg, {'train_cfg.max_epochs': 5})
        >>> cfg.train_cfg.max_epochs
        5
    """
    settings = cfg.to_dict()
    try:
        before = {name: reduce(setting_at, name.split('.'), settings) for name in options or {}}
        cfg.merge_from_dict(options or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the first if they are no dict
        raise ConfigError(f'--cfg-options {options} cannot be merged into the config: {sentence(error)}') from error
    if not isinstance(cfg.get('model', {}), dict):
        raise ConfigError(
            f'--cfg-options model={brief(cfg.model)} leaves no model. Change settings of it: model.KEY=...'
        )
    for name, value in before.items():
        if isinstance(value, (bool, int, float)) and isinstance(options[name], str) and options[name] not in _WORDS:
            wanted = 'True or False' if isinstance(value, bool) else f'a number, as {value} in the config'
            raise ConfigError(f'--cfg-options {name} expects {wanted}; got the text {options[name]!r}.')
    check_keys(settings, cfg.to_dict(), options or {})


def _file_of(config: str) -> Path:
    package, named, name = config.partition('::')
    file = _configs_of(package) / name if named else Path(config)
    if not file.is_file():
        raise MissingFileError(
            f'There is no config at {str(file)!r}. The configs of mmlgd are in {str(place_of("configs"))!r}.'
        )
    if file.suffix not in _SUFFIXES:
        raise ConfigError(
            f'{str(file)!r} is no config: expected a file that ends with {", ".join(_SUFFIXES)}. A checkpoint is named '
            f'beside its config: `mmlgd train CONFIG.py --student CHECKPOINT`, `mmlgd test CONFIG.py CHECKPOINT`.'
        )
    return file


def _configs_of(package: str) -> Path:
    """Find the configs of a package. mmengine's own function may install another version of the package."""
    if package == 'mmlgd':
        return place_of('configs')
    require_library(package)
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.origin:
        raise MissingFileError(f'{package!r} is not installed. Install it, or give the path of a config.')
    return Path(spec.origin).parent / '.mim' / 'configs'


def _of_file(file: Path) -> Config:
    try:
        cfg = Config.fromfile(file)
        _end_deletions(cfg._cfg_dict)
        return cfg
    except MMLGDError:
        raise
    except Exception as error:  # a config is Python: it can raise anything
        kind = MissingPackageError if isinstance(error, ImportError) else ConfigError
        told = sentence(f'{type(error).__name__}: {error}')
        place, line = _place_of(error, file)
        where = f'{place}, line {line},' if line else str(place)
        advice = _of_bases(error) or f'{told} {_advice(place if place.is_file() else file, error)}'
        raise kind(f'{where} cannot be read as a config: {advice}') from error


def _end_deletions(settings: Any) -> None:
    """Take out each `_delete_` that had nothing to delete: mmengine leaves it there, and a class would refuse it."""
    if isinstance(settings, dict):
        settings.pop(DELETE_KEY, None)
    inner = settings.values() if isinstance(settings, dict) else settings if isinstance(settings, (list, tuple)) else ()
    for one in list(inner):
        _end_deletions(one)


def _of_bases(error: Exception) -> str:
    """Say in other words what mmengine says of a config that does not fit its bases; empty for all other errors."""
    if found := re.search('Duplicate keys: {(.*)}', str(error)):
        return (
            f'more than one file of its _base_ sets {found[1]}, and mmengine takes a setting from one of them alone. '
            f'Keep one as _base_, and write the settings of the other below it, in this file.'
        )
    if found := re.search('in child config cannot inherit from base because (.+) is a dict', str(error)):
        return (
            f'its {found[1]} is a dict, and that of its _base_ is none, so that they cannot be merged. To replace the '
            f"base's, write {found[1]}=dict(_delete_=True, ...)."
        )
    return ''


def _advice(file: Path, error: Exception) -> str:
    if not isinstance(error, (AttributeError, KeyError, OSError)):  # of a name or a file that the bases do not have
        return 'Mend it there.'
    if read_small(file).startswith(RECIPE_HEAD.encode()):
        return (
            'It was written by an earlier version of mmlgd. Write it again: run its `mmlgd pretrain ...` with '
            '--overwrite, or with another --work-dir if the old run is to stay.'
        )
    return 'Compare what it takes from its _base_ with those files; an update may have renamed it.'


def _place_of(error: Any, file: Path) -> tuple[Path, Optional[int]]:
    """Find the file and line that raised an error: of this config, or of one of its bases."""
    line = getattr(error, 'lineno', None) or getattr(error.__context__, 'lineno', None)  # of the syntax
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get('__name__') == Config.__module__:
            file = Path(frame.f_locals.get('filename', file))
        elif frame.f_code.co_filename == str(file):
            line = number
    return file, line
