"""The frame of every tool: files are read as data, and bad input ends it with one paragraph."""

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Callable, Optional

from mmlgd.errors import MMLGDError, reason_of, sentence
from mmlgd.utils.logs import log_from
from mmlgd.utils.stopping import COMMAND, Stopped, stoppable

_DEAD_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed|exited)')


def run_tool(main: Callable[[], object], command: str = '', quiet: bool = False) -> None:
    """Run a tool: files are read as data; bad input ends it with one paragraph and exit code 1, without a traceback.

    Args:
        main (Callable): The tool's function. Other errors are bugs, and keep their traceback.
        command (str): What to type to go on with it after a signal. Defaults to nothing.
        quiet (bool): Show only the warnings of mmengine's log. Defaults to False.

    Raises:
        SystemExit: The input cannot be used, a process that reads images has died, or a signal has stopped the tool.
    """
    # Here, so that the help of a verb does not wait for torch.
    from mmlgd.checkpoints.loaders import loading_safely
    from mmlgd.utils.memory import keep_freed_memory

    keep_freed_memory()
    try:
        log = log_from('WARNING') if quiet else nullcontext()
        with _typed(command), _brief_warnings(), log, loading_safely(), stoppable():
            main()
    except Stopped as stop:
        print(f'\n{_told(stop, command)}', file=sys.stderr, flush=True)
        raise SystemExit(stop.code) from stop
    except (MMLGDError, RuntimeError) as error:
        reason = reason_of(error) if isinstance(error, MMLGDError) else _full_memory(error) or _death_of_worker(error)
        if reason is None:
            raise
        _tell_launcher(reason)
        raise SystemExit(f'error: {reason}') from error


@contextmanager
def _typed(command: str) -> Iterator[None]:
    """Let the processes below this one know what was typed."""
    is_first = COMMAND not in os.environ
    os.environ.setdefault(COMMAND, command)
    try:
        yield
    finally:
        if is_first:
            del os.environ[COMMAND]


@contextmanager
def _brief_warnings() -> Iterator[None]:
    """Show warnings without the line of code that warned, which Python adds."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, category, *place: f'{category.__name__}: {message}\n'
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _told(stop: Stopped, command: str) -> str:
    """Say what is safe, and how to go on."""
    if not stop.safe:
        return 'Stopped.'
    typed = os.environ.get(COMMAND)  # in a process above this one
    if typed is None and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        return f'{stop.safe} Go on with the command that started all processes, and --resume.'
    return f'{stop.safe} Go on with:\n  {typed or command}'


def _full_memory(error: RuntimeError) -> Optional[str]:
    """Explain that the memory of the GPU is full; None for all other errors."""
    import torch

    if not isinstance(error, torch.OutOfMemoryError):
        return None
    return (
        f'The memory of the GPU is full: {sentence(str(error).splitlines()[0])} Take fewer images a step (--batch-size '
        f'of mmlgd pretrain, train_dataloader.batch_size of a config) or smaller ones. With --store a training '
        f'needs no teacher in memory.'
    )


def _death_of_worker(error: RuntimeError) -> Optional[str]:
    """Explain torch's error for a data loader's worker that has died; None for all other errors."""
    if not _DEAD_WORKER.search(str(error)):
        return None
    causes = {' '.join(str(one).split()) for one in (error, error.__cause__, error.__context__) if one is not None}
    told = '; '.join(sorted(cause for cause in causes if _DEAD_WORKER.search(cause)))
    return (
        f'A process that reads images has died: {sentence(told)} Usually the machine has run out of memory, or a '
        f'container has run out of shared memory (docker run --shm-size). Reduce train_dataloader.num_workers or '
        f'batch_size, and run the same command again; add --resume to continue training.'
    )


def _tell_launcher(reason: str) -> None:
    """Write the reason where torchrun looks for it, so that its final report contains it."""
    if file := os.environ.get('TORCHELASTIC_ERROR_FILE'):
        with open(file, 'w') as handle:
            json.dump(dict(message=f'error: {reason}', timestamp=int(time.time())), handle)
