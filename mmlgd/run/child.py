"""A run in a child process, which ends with this process."""

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional

from mmlgd.errors import MMLGDError


class RunError(MMLGDError, RuntimeError):
    """A run in a child process has failed; the message says where to find the reason.

    Args:
        message (str): What failed.
        code (int): Exit code of the process; the negative signal number if a signal ended it. Defaults to 1.
    """

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code if code >= 0 else 128 - code  # a shell's exit code for a signal


def run(command: list[str]) -> int:
    """Run a tool to its end; signals that stop this process also stop the tool.

    SIGTERM from a scheduler, SIGINT from ``kill`` or Ctrl-C and SIGHUP from a closed terminal are passed on as SIGTERM,
    which torchrun passes on to its processes; checkpoints stay complete at any time. SIGKILL cannot be passed on; on
    Linux the kernel then stops the tool.

    Args:
        command (List[str]): The tool and its arguments.

    Returns:
        int: Its exit code; the negative signal number if a signal ended it.
    """
    with subprocess.Popen(command, preexec_fn=end_with_parent()) as process, stopped_by(lambda _: process.terminate()):
        return process.wait()


def failure(command: str, code: int) -> RunError:
    """Make the error of a training that failed in a child process.

    Args:
        command (str): What was run, for the message.
        code (int): What :func:`run` has returned.

    Returns:
        RunError: The error, to be raised.
    """
    how = f'was stopped by signal {-code}' if code < 0 else f'ended with exit code {code}'
    return RunError(f'`{command}` {how}; its output above says why. To go on with it later, add --resume.', code)


@contextmanager
def stopped_by(stop: Callable[[int], object]) -> Iterator[None]:
    """Call a function in place of what the signals that stop this process would do: SIGTERM, SIGINT and SIGHUP.

    Args:
        stop (Callable): Stops the child processes; it gets the number of the signal. A signal that is ignored now, as
            below ``nohup``, stays ignored.
    """
    there = [getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        there = []  # Python allows signal handlers only in the main thread
    # Keep ignored signals ignored, as with nohup.
    handed_on = [number for number in there if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda number, frame: stop(number)) for number in handed_on}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> Optional[Callable[[], object]]:
    """Return a function for a child process, which requests a SIGTERM when its parent dies.

    Returns:
        Callable | None: For ``preexec_fn``; None on other systems than Linux.
    """
    if sys.platform != 'linux':
        return None
    library = ctypes.CDLL(None)  # loaded here, because a child should do as little as possible before exec
    set_death_signal = 1
    return lambda: library.prctl(set_death_signal, signal.SIGTERM)
