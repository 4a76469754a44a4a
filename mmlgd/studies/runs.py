"""Runs verbs in separate processes, records their arguments, and summarises their results over seeds."""

import hashlib
import json
import os
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmlgd.errors import ConfigError
from mmlgd.run.digests import content_of
from mmlgd.store import DESCRIPTION
from mmlgd.utils.configs import read_config
from mmlgd.utils.files import read_small, write_whole
from mmlgd.utils.validation import listed, require

from .processes import Run, run_all

COMMAND = [sys.executable, '-m', 'mmlgd.cli']
_KINDS = dict(arguments=list, contents=dict, labels=dict, evaluation=(dict, type(None)), log=str)  # in a record


def run(verb: str, arguments: list[str], output: Path) -> None:
    """Run a verb of ``mmlgd`` with this Python, and save its output.

    Args:
        verb (str): Name of the verb.
        arguments (List[str]): Arguments of the verb.
        output (Path): The file for both output streams; its folder is created.

    Raises:
        RunError: It failed; the message names the output file and quotes the end.
        Stopped: A signal has stopped it.
    """
    run_all([Run(command_of(verb, arguments), output)])


def command_of(verb: str, arguments: list[str]) -> list[str]:
    """Write the command that runs a verb of ``mmlgd`` with this Python."""
    return [*COMMAND, verb, *arguments]


def split_options(text: str) -> list[str]:
    """Split ``key=value,key=value``; a comma inside a value, as in ``[a,b]``, has no key after it.

    Args:
        text (str): Options in one word.

    Returns:
        List[str]: ``key=value`` options; an empty text has none.

    Examples:
        >>> split_options('backbone_rate=0,model.names=[a,b]')
        ['backbone_rate=0', 'model.names=[a,b]']
    """
    return re.split(r',(?=[\w.]+=)', text) if text else []


def name_of(config: str) -> str:
    """Name a comparison after its config; after the folder of a run where a verb wrote the config there.

    Args:
        config (str): The config.

    Returns:
        str: A name.

    Examples:
        >>> name_of('configs/small/detector_bccd.py'), name_of('work_dirs/detect_cells/recipe/detect.py')
        ('detector_bccd', 'detect_cells')
    """
    file = Path(config)
    return file.parents[1].name if file.parent.name == 'recipe' and len(file.parents) > 2 else file.stem


def write_text(file: Path, text: str) -> None:
    """Write a text and a line end, as a whole.

    Args:
        file (Path): In a folder that exists.
        text (str): Its content.

    Raises:
        WriteError: It cannot be written.
    """
    write_whole(file, f'{text}\n'.encode())


def read_record(file: Path, otherwise: str) -> dict:
    """Read what a command has recorded about a run.

    Args:
        file (Path): JSON of :func:`write_text`.
        otherwise (str): What to do if the file is damaged and there is no copy, for the message.

    Returns:
        dict: The record; empty if there is no such file.

    Raises:
        ConfigError: It is damaged.
    """
    if not file.is_file():
        return {}
    try:
        told = json.loads(read_small(file))
    except (ValueError, RecursionError):
        told = None
    is_whole = (
        isinstance(told, dict) and told and all(isinstance(told[key], _KINDS[key]) for key in {*told} & {*_KINDS})
    )
    if not (is_whole and all(isinstance(word, str) for word in told.get('arguments', []))):
        raise ConfigError(f'{file} is damaged: it does not say what was run. Put a copy of it back, or {otherwise}.')
    return told


def contents(config: Optional[str] = None, *named: Optional[str]) -> dict[str, str]:
    """Compute digests of the files of a command line: a changed config or checkpoint makes it another run.

    Args:
        config (str, optional): A config; its bases and the environment variables that it reads are included.
        *named (str, optional): Files, and folders of teacher stores. Other values (``'none'``, a URL, a set of class
            names) are ignored.

    Returns:
        Dict[str, str]: SHA-256 by name.

    Raises:
        UnreadableError: A file may not be read.
    """
    files = {name: Path(os.path.expanduser(name)) for name in named if name}
    files = {name: file / DESCRIPTION if os.path.isdir(file) else file for name, file in files.items()}
    found = {name: content_of(file) for name, file in files.items() if os.path.isfile(file)}  # names may be long
    if config:
        found[config] = hashlib.sha256(repr(_in_order(read_config(config).to_dict())).encode()).hexdigest()
    return found


def _in_order(value: Any) -> Any:
    """Write sets as lists: each process has another order of them."""
    if isinstance(value, dict):
        return {key: _in_order(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_in_order, value))
    return sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value


def refuse_seed(*changes: Mapping) -> None:
    """Refuse options that would be the seed of all runs.

    Args:
        *changes (Mapping): Options of some runs.

    Raises:
        ConfigError: One of them is the seed.
    """
    require(
        not any('randomness.seed' in one for one in changes),
        'An option sets randomness.seed, which would be the seed of all runs that have it. Give --seeds instead.',
    )


def refuse_other(folder: Path, told: dict, asked: dict) -> None:
    """Refuse a folder with a different run.

    Args:
        folder (Path): Folder of the run.
        told (dict): The record in the folder: ``arguments``, ``contents`` of :func:`contents`, and ``labels`` of
            :func:`~mmlgd.run.digests.digests_of_labels`, of which records of an earlier version lack some or all,
            or have them among the contents.
        asked (dict): The same for the requested run.

    Raises:
        ConfigError: They differ; the message names the difference.
    """
    advice = 'Give it another name or another --work-dir, or remove the folder'
    if _placeless(told.get('arguments')) != _placeless(asked['arguments']):
        raise ConfigError(
            f'{folder} holds a run of `mmlgd train {" ".join(told.get("arguments", ["(not recorded)"]))}`, requested '
            f'was `mmlgd train {" ".join(asked["arguments"])}`. {advice}.'
        )
    if 'contents' not in told:
        raise ConfigError(
            f'{folder} holds a run of an earlier version, which did not record config, checkpoint and store: it may '
            f'be a different run. {advice}.'
        )
    place, labels = os.path.realpath, asked.get('labels', {})  # an earlier version took other forms of a path
    known = {place(name): digest for name, digest in {**told['contents'], **told.get('labels', {})}.items()}
    now = {**asked['contents'], **labels}
    changed = {
        name for name, digest in now.items() if known.get(place(name), digest if name in labels else '') != digest
    }
    changed |= {name for name in told['contents'] if place(name) not in {*map(place, now)}}
    if changed:
        raise ConfigError(
            f'{folder} holds a run with other contents of {", ".join(sorted(changed))} (the contents of a config '
            f'include its bases and the environment variables that it reads). {advice}, or restore the old contents.'
        )


def _placeless(arguments: Optional[list[str]]) -> Optional[list[str]]:
    """Leave the work dir out: it may have been moved, or be given by another path."""
    if not arguments or '--work-dir' not in arguments:
        return arguments
    place = arguments.index('--work-dir')
    return arguments[:place] + arguments[place + 2 :]


def mean_and_spread(values: Iterable[float]) -> tuple[float, float]:
    """Compute mean and standard deviation over seeds.

    Args:
        values (Iterable[float]): One value per seed.

    Returns:
        Tuple[float, float]: Mean and sample standard deviation, which is 0 for a single seed.
    """
    values = list(values)
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def named(pairs: Union[Mapping[str, str], Sequence[str]], option: str, pattern: str, example: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` pairs in order.

    Args:
        pairs (Mapping[str, str] | Sequence[str]): Values by name, or the pairs of a command line.
        option (str): Name of the option, for the error message.
        pattern (str): Regular expression for the values.
        example (str): A valid pair, for the error message.

    Returns:
        Dict[str, str]: Values by name.

    Raises:
        ConfigError: There are no pairs, a pair is invalid, or a name is duplicate.
    """
    pairs = [f'{name}={value}' for name, value in pairs.items()] if isinstance(pairs, Mapping) else listed(pairs)
    found: dict[str, str] = {}
    for pair in pairs:
        match = re.fullmatch(rf'([\w.+-]+)=({pattern})', pair)
        require(match, f'{option} takes NAME=VALUE, got {pair!r}; for example {example}.')
        require(match[1] not in found, f'{option} has the name {match[1]!r} twice.')
        found[match[1]] = match[2]
    require(found, f'{option} is empty. Give at least one, for example {example}.')
    return found
