"""The config of a pre-training as a file: settings on top of a config of ours, written by mmengine."""

import copy
import shlex
from pathlib import Path
from typing import Any, Callable

from mmlgd.errors import ConfigError, MMLGDError

# Imports inside of functions are of large packages: the help of `mmlgd pretrain`, which reads this module, is not to
# wait for them.

_HEAD = '# Written by `mmlgd pretrain`. An ordinary config: edit it, train it by `mim train mmlgd FILE`.\n'


class OtherConfigError(MMLGDError, FileExistsError):
    """A work dir that has the config of another run."""


def _base_of(name: str) -> dict:
    """Read a config of ours, by its place below ``configs/``."""
    from mmengine.config import Config

    from mmlgd.utils.paths import place_of

    return Config.fromfile(place_of('configs') / name).to_dict()


def config_text(name: str, settings: dict, options: dict[str, Any]) -> str:
    """Write a config on top of one of ours.

    Args:
        name (str): That config's place below ``configs/``.
        settings (dict): What is to be merged into it.
        options (Dict[str, Any]): Changes after that, ``key.subkey`` or ``key.0.subkey`` to values: they have the last
            word.

    Returns:
        str: Python, as mmengine writes it.

    Raises:
        ConfigError: An option cannot be merged.

    Examples:
        >>> text = config_text('lgd/lgd_resnet18_1xb256-coslr-200e_pictures.py', dict(randomness=dict(seed=3)), {})
        >>> text.splitlines()[-1]
        'randomness = dict(seed=3)'
    """
    from mmlgd.utils.paths import is_installed, place_of

    if options:
        settings = _changed(_base_of(name), settings, options)
    base = f'mmlgd::{name}' if is_installed() else str(place_of('configs') / name)
    return _HEAD + _python(dict(_base_=base, **settings))


def _changed(base: dict, settings: dict, options: dict[str, Any]) -> dict:
    """Let options have the last word: each part of the config that they touch is then written in full."""
    from mmengine.config import Config

    whole = Config(Config._merge_a_into_b(copy.deepcopy(settings), copy.deepcopy(base)))
    try:
        whole.merge_from_dict(options)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'--cfg-options {options} cannot be merged into the config: {error}') from error
    changed = dict(settings)
    for key in dict.fromkeys(option.split('.')[0] for option in options):
        value = whole.to_dict()[key]
        changed[key] = dict(value, _delete_=True) if isinstance(value, dict) else value
    return changed


def write_config(work_dir: Path, text: str, overwrite: bool, command_of: Callable[[Path], list[str]]) -> Path:
    """Write the config; one that says something else stays.

    Args:
        work_dir (Path): Of the run. mmengine writes the config in full there: ours goes into a folder of its own.
        text (str): The config.
        overwrite (bool): Also over one that says something else.
        command_of (Callable): The command that trains a config, for the advice to train the one that is there.

    Returns:
        Path: The file.

    Raises:
        OtherConfigError: Another config is there.
        LockedError: Another run writes to the work dir, and its config is not this one.
        WriteError: The work dir cannot be written to.
    """
    from mmlgd.utils.files import own_folder, sole_writer, write_whole

    # The place of the work dir is part of the config: a later `train.py CONFIG --resume` finds its checkpoints.
    file, place = work_dir / 'recipe' / 'pretrain.py', _python(dict(work_dir=str(work_dir.resolve())))
    if _read(file) == text + place:
        return file
    with sole_writer(work_dir):  # not that of a run which is going on
        there = _read(file)
        is_moved = there.startswith(f'{text}work_dir') and there.count('\n') == (text + place).count('\n')
        if there and not is_moved and not overwrite:
            raise OtherConfigError(
                f'{file} is the config of another run (or has been edited). Train it by\n'
                f'  {shlex.join(command_of(file))}\n'
                f'or give these options another --work-dir, or --overwrite, which replaces it.'
            )
        own_folder(file.parent)
        write_whole(file, (text + place).encode())
    return file


def _python(settings: dict) -> str:
    from mmengine.config import Config

    return Config(settings).pretty_text.rstrip() + '\n'


def _read(file: Path) -> str:
    from mmlgd.utils.files import read_small

    return read_small(file).decode(errors='replace') if file.is_file() else ''
