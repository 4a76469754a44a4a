"""Runs in processes of their own, several at once, which all end with this process."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NamedTuple

import torch
from mmengine.logging import print_log

from mmlgd.errors import MMLGDError
from mmlgd.run.child import RunError, end_with_parent, stopped_by
from mmlgd.utils.stopping import Stopped
from mmlgd.utils.validation import whole

JOBS = whole('runs at once (jobs)', 1, 1024)
_PAUSE = 0.1  # seconds between two looks at runs that take minutes


class Run(NamedTuple):
    """A tool that runs beside others.

    Attributes:
        command (List[str]): The tool and its arguments.
        output (Path): The file for both of its output streams; its folder is created.
    """

    command: list[str]
    output: Path


def run_all(runs: Sequence[Run], jobs: int = 1, done: Callable[[int, float], object] = lambda k, seconds: None) -> None:
    """Run tools to their ends, several at once; SIGTERM, SIGINT and SIGHUP stop them all.

    With ``jobs`` above 1, each place has a GPU of its own, in turn, by ``CUDA_VISIBLE_DEVICES``. After a failure no
    other tool is started, and those that run go on to their ends.

    Args:
        runs (Sequence[Run]): The tools, in the order of their starts.
        jobs (int): How many run at once, at least 1. Defaults to 1.
        done (Callable): Called with the number of each run that has succeeded, and its seconds. An error of ours that
            it raises is a failure of the run; another error stops all tools. Defaults to nothing.

    Raises:
        RunError: One has failed; the message names its output file and quotes the end.
        Stopped: A signal has stopped all.
    """
    waiting, running, failed, stopped = list(enumerate(runs)), {}, [], []
    cards = _cards() if jobs > 1 else []
    with stopped_by(stopped.append):
        try:
            while running or waiting and not failed and not stopped:
                while waiting and not failed and not stopped and len(running) < jobs:
                    place = min({*range(jobs)} - {*running})
                    card = dict(CUDA_VISIBLE_DEVICES=cards[place % len(cards)]) if cards else {}
                    number, one = waiting.pop(0)
                    running[place] = number, _start(one, card), time.monotonic()
                for place, (number, process, since) in list(running.items()):
                    if stopped:
                        process.terminate()
                    if process.poll() is None:
                        continue
                    del running[place]
                    try:
                        if not process.returncode:
                            done(number, time.monotonic() - since)
                        elif not stopped:
                            raise _failure(runs[number])
                    except MMLGDError as error:
                        failed.append(error)
                        if running:
                            print_log(f'{error}\nThose that run beside it go on to their ends.', 'current', 40)
                time.sleep(_PAUSE if running else 0)
        finally:
            for _, process, _ in running.values():
                process.terminate()
            for _, process, _ in running.values():
                process.wait()
    if stopped:
        stop = Stopped(stopped[0])
        stop.safe = 'Stopped, with all runs. Finished ones stay, and the others go on from their checkpoints.'
        raise stop
    if failed:
        raise failed[0]


def _start(one: Run, environment: dict[str, str]) -> subprocess.Popen:
    one.output.parent.mkdir(parents=True, exist_ok=True)
    with one.output.open('w') as file:
        return subprocess.Popen(
            one.command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            preexec_fn=end_with_parent(),
        )


def _failure(one: Run) -> RunError:
    tail = '\n'.join(one.output.read_text(errors='replace').splitlines()[-5:])
    return RunError(f'The run in {one.output.parent} failed; its output is in {one.output} and ends with\n{tail}')


def _cards() -> list[str]:
    """List the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = os.environ.get('CUDA_VISIBLE_DEVICES')
    return [str(k) for k in range(torch.cuda.device_count())] if named is None else [*filter(None, named.split(','))]
