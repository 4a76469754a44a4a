"""Timing for the benchmarks: alternatives are timed in turns in one process, and reported as a table and as JSON."""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Callable, Optional

import torch
import torchvision

from mmlgd.utils.files import write_whole
from mmlgd.version import __version__

Times = dict[str, list[float]]


def benchmark_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the common arguments of the benchmarks.

    Args:
        description (str): What is measured, for ``--help``.

    Returns:
        argparse.ArgumentParser: The parser, for the benchmark to add its own arguments.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=20, help='timings of each; default: %(default)s')
    parser.add_argument('--warmup', type=int, default=3, help='untimed calls of each before; default: %(default)s')
    parser.add_argument('--json', type=Path, help='write the figures here as well')
    return parser


def measure(ways: dict[str, Callable[[], object]], args: argparse.Namespace) -> Times:
    """Time each alternative once per round, so that noise of the machine affects all equally.

    Args:
        ways (Dict[str, Callable]): The functions to time, by name.
        args (argparse.Namespace): Arguments from a :func:`benchmark_parser`; its device, rounds and warmup are read.

    Returns:
        Dict[str, List[float]]: Seconds of each round, by name.
    """
    for run in ways.values():
        for _ in range(args.warmup):
            run()
    times: Times = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, run in ways.items():
            times[name].append(_seconds(run, args.device))
    return times


def _seconds(run: Callable[[], object], device: str) -> float:
    synchronize = torch.cuda.synchronize if device.startswith('cuda') else lambda: None
    synchronize()
    started = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - started


def table(times: Times, items: Optional[int] = None, unit: str = 'images') -> str:
    """Write timings as a Markdown table; the first row is the baseline.

    Args:
        times (Dict[str, List[float]]): From :func:`measure`.
        items (int, optional): Number of items per call; None omits the rate.
        unit (str): What the items are. Defaults to ``'images'``.

    Returns:
        str: A row for each alternative: median, fastest and slowest in ms, items per second, speed relative to the
        first.
    """
    first = statistics.median(next(iter(times.values())))
    rate = f' {unit}/s |' if items else ''
    lines = [f'| | median ms | fastest to slowest |{rate} times as fast |', '|---' * (5 if items else 4) + '|']
    for name, seconds in times.items():
        median = statistics.median(seconds)
        rate = f' {items / median:.0f} |' if items else ''
        spread = f'{1e3 * min(seconds):.4g} to {1e3 * max(seconds):.4g}'
        lines.append(f'| {name} | {1e3 * median:.4g} | {spread} |{rate} {first / median:.2f} |')
    return '\n'.join(lines)


def environment(device: str) -> dict:
    """Describe the machine of the measurement.

    Args:
        device (str): The device, as for torch.

    Returns:
        dict: GPU or processor, threads and versions.
    """
    card = torch.cuda.get_device_name(device) if device.startswith('cuda') else platform.processor() or 'CPU'
    return dict(
        device=card,
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=torchvision.__version__,
        mmlgd=__version__,
    )


def report(title: str, text: str, figures: dict, args: argparse.Namespace) -> None:
    """Print a benchmark's table, and write it and its values to the file of ``--json``.

    Args:
        title (str): What was measured, with its sizes.
        text (str): The table, in Markdown.
        figures (dict): The values of the table.
        args (argparse.Namespace): Arguments from a :func:`benchmark_parser`.
    """
    machine = environment(args.device)
    print(f'\n{title}\n{", ".join(f"{key} {value}" for key, value in machine.items())}\n\n{text}')
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(dict(title=title, environment=machine, table=text, **figures), indent=1)
        write_whole(args.json, f'{content}\n'.encode())
