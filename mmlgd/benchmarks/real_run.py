"""A real pre-training that is stopped after some seconds, and its images per second."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from mmlgd.engine.reports.curves import read_records
from mmlgd.errors import ConfigError
from mmlgd.run.child import RunError, end_with_parent, stopped_by
from mmlgd.utils.paths import place_of

# The CPU decodes and crops; the device does the rest of the augmentation.
RECIPE = 'lgd/lgd_resnet18_1xb256-coslr-200e_images_batched.py'
_PAUSE = 0.1  # seconds between two looks at the log


class Pace(NamedTuple):
    """How fast a run was, from its first line of the log on.

    Attributes:
        inside (float): Images per second inside an epoch: the median over the log's lines.
        overall (float): Images per second with the pauses between epochs.
        waiting (float): Share of the time of a step in which it waited for images, in 0..1: the median.
        steps (int): Steps that were made.
        loss (float): The last one in the log.
    """

    inside: float
    overall: float
    waiting: float
    steps: int
    loss: float


def train_for(seconds: float, options: dict, batch: int) -> Pace:
    """Train :data:`RECIPE` in a process of its own, and stop it as Ctrl-C does.

    Args:
        seconds (float): From the first line of the log on, so that compilation does not count; a second line is waited
            for.
        options (dict): Changes to the recipe, ``key.subkey=value``.
        batch (int): Images of a step.

    Returns:
        Pace: How fast it was.

    Raises:
        RunError: The training failed; the message quotes its end.
        ConfigError: It came to its end with fewer than two lines in its log.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'mmlgd.cli', 'train', str(place_of('configs') / RECIPE)]
        command += ['--work-dir', f'{folder}/run', '--cfg-options', *(f'{k}={v}' for k, v in options.items())]
        log = Path(folder, 'output.txt')
        with log.open('wb') as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=end_with_parent())
        with stopped_by(lambda _: process.terminate()):
            records, seen = _watch(process, Path(folder, 'run'), seconds)
        if process.returncode not in (0, 143):  # 128 + SIGTERM: it was stopped between two steps
            tail = '\n'.join(log.read_text(errors='replace').splitlines()[-15:])
            raise RunError(f'The training ended with exit code {process.returncode}:\n{tail}', process.returncode)
    if len(seen) < 2:
        raise ConfigError(
            f'The training has logged {len(seen)} line(s) up to its end, expected two or more. Let it log more often, '
            f'or give it more images.'
        )
    (first, started), (last, ended) = seen[0], seen[-1]
    return Pace(
        inside=batch / statistics.median(record['time'] for record in records),
        overall=batch * (last - first) / (ended - started),
        waiting=statistics.median(min(1.0, record['data_time'] / record['time']) for record in records),
        steps=last,
        loss=records[-1]['loss'],
    )


def _watch(process: subprocess.Popen, work_dir: Path, seconds: float) -> tuple[list[dict], list[tuple[int, float]]]:
    """Wait for the end of a run; return the lines of its log, and when the last step of each look was first seen."""
    records, seen, over = [], [], False
    try:
        while not over:
            over = process.poll() is not None
            records = [one for file in work_dir.glob('*/vis_data/scalars.json') for one in read_records(file)]
            records = [one for one in records if 'data_time' in one]  # others are of an epoch, as of the bank
            if records and (not seen or records[-1]['step'] > seen[-1][0]):
                seen.append((records[-1]['step'], time.monotonic()))
            if not over and len(seen) > 1 and time.monotonic() - seen[0][1] > seconds:
                process.terminate()
                over = True
            time.sleep(_PAUSE)
        process.wait()
    finally:
        process.kill()
    return records[1:], seen  # the first has what compilation took
