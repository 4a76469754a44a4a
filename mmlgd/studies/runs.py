"""Verbs run in processes of their own, what they were told, and what their figures come to over seeds."""

import hashlib
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.run.child import RunError
from mmlgd.store import DESCRIPTION
from mmlgd.utils.validation import require

COMMAND = [sys.executable, '-m', 'mmlgd.cli']


def run(verb: str, arguments: list[str], output: Path) -> list[str]:
    """Run a verb of the command with this Python, and keep what it prints.

    Args:
        verb (str): Its name.
        arguments (List[str]): Its command line.
        output (Path): The file for both its streams; its folder is made.

    Returns:
        List[str]: The command.

    Raises:
        RunError: It failed; the message says where its output is, and how that ends.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [*COMMAND, verb, *arguments]
    with output.open('w') as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        tail = '\n'.join(output.read_text().splitlines()[-5:])
        raise RunError(f'The run in {output.parent} failed; its output is in {output} and ends with\n{tail}')
    return command


def contents(config: Optional[str] = None, *named: Optional[str]) -> dict[str, str]:
    """Digest what a command line names: another config or checkpoint under the same name is another run.

    Args:
        config (str, optional): A config; its bases and the environment variables that it reads count too.
        *named (str, optional): Files, and folders of teacher stores. What else there may be in their place (``'none'``,
            an address, a set of class names) is left out.

    Returns:
        Dict[str, str]: SHA-256 by name.
    """
    files = {name: Path(name) / DESCRIPTION if Path(name).is_dir() else Path(name) for name in named if name}
    found = {name: file.read_bytes() for name, file in files.items() if file.is_file()}
    if config:
        found[config] = repr(Config.fromfile(config).to_dict()).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def refuse_other(folder: Path, told: dict, asked: dict) -> None:
    """Refuse to take the run in a folder for one that it is not.

    Args:
        folder (Path): Of the run.
        told (dict): What its record says: ``arguments`` and ``contents``, of :func:`contents`.
        asked (dict): The same, of the run that is wanted.

    Raises:
        ConfigError: They differ; the message says in what.
    """
    advice = 'Give it another name or another --work-dir'
    if told.get('arguments') != asked['arguments']:
        raise ConfigError(
            f'{folder} holds a run of `mmlgd train {" ".join(told.get("arguments", ["(not recorded)"]))}`, asked for '
            f'is `mmlgd train {" ".join(asked["arguments"])}`. {advice}.'
        )
    if 'contents' not in told:
        raise ConfigError(
            f'{folder} holds a run whose config, checkpoint and store were not recorded, as earlier versions did: it '
            f'may be another one. {advice}.'
        )
    before, now = told['contents'], asked['contents']
    if changed := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
        raise ConfigError(
            f'{folder} holds a run with another content of {", ".join(changed)} (of a config, its bases and the '
            f'environment variables that it reads count as well). {advice}, or put the old content back.'
        )


def mean_and_spread(values: Iterable[float]) -> tuple[float, float]:
    """Compute mean and standard deviation over seeds.

    Args:
        values (Iterable[float]): One for each seed.

    Returns:
        Tuple[float, float]: Mean, and sample standard deviation: 0 for a single seed.
    """
    values = list(values)
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def named(pairs: Union[Mapping[str, str], Sequence[str]], option: str, pattern: str, example: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` pairs, in their order.

    Args:
        pairs (Mapping[str, str] | Sequence[str]): By name, or as the command has them.
        option (str): What they are called, for the error.
        pattern (str): Of a regular expression that each value matches.
        example (str): A pair that is right, for the error.

    Returns:
        Dict[str, str]: Values by name.

    Raises:
        ConfigError: There are none, one is no such pair, or two have one name.
    """
    pairs = [f'{name}={value}' for name, value in pairs.items()] if isinstance(pairs, Mapping) else list(pairs)
    found: dict[str, str] = {}
    for pair in pairs:
        match = re.fullmatch(rf'([\w.+-]+)=({pattern})', pair)
        require(match, f'{option} takes NAME=VALUE, got {pair!r}; for example {example}.')
        require(match[1] not in found, f'{option} has two named {match[1]!r}.')
        found[match[1]] = match[2]
    require(found, f'{option} is empty. Give at least one, for example {example}.')
    return found
