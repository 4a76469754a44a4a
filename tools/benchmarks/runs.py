"""Tools run in processes of their own, and what their figures come to over seeds."""

import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

TOOLS = Path(__file__).parents[1]


def run(script: Path, arguments: list[str], output: Path) -> list[str]:
    """Run a script with this Python, and keep what it prints.

    Args:
        script (Path): The script.
        arguments (List[str]): Its command line.
        output (Path): The file for both its streams; its folder is made.

    Returns:
        List[str]: The command.

    Raises:
        RuntimeError: It failed; the message says where its output is, and how that ends.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(script), *arguments]
    with output.open('w') as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        tail = '\n'.join(output.read_text().splitlines()[-5:])
        raise RuntimeError(f'The run in {output.parent} failed; its output is in {output} and ends with\n{tail}')
    return command


def mean_and_spread(values: Iterable[float]) -> tuple[float, float]:
    """Compute mean and standard deviation over seeds.

    Args:
        values (Iterable[float]): One for each seed.

    Returns:
        Tuple[float, float]: Mean, and sample standard deviation: 0 for a single seed.
    """
    values = list(values)
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0
