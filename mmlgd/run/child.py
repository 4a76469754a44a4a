"""A run in a process of its own, which ends when this one does."""

import ctypes
import signal
import subprocess
import sys
import threading
from typing import Callable, Optional

from mmlgd.errors import MMLGDError


class RunError(MMLGDError, RuntimeError):
    """A run in a process of its own has failed; the message says where its reason is.

    Args:
        message (str): What failed.
        code (int): Exit code of the process, minus the signal where one has ended it. Defaults to 1.
    """

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code if code >= 0 else 128 - code  # as a shell says it of a signal


def run(command: list[str]) -> int:
    """Run a tool to its end; what stops this process stops the tool with it.

    SIGTERM of a scheduler, SIGINT of ``kill`` or Ctrl-C and SIGHUP of a terminal that is closed are handed on as
    SIGTERM, which torchrun hands on to its processes; checkpoints are whole whenever it comes. Of SIGKILL, which nobody
    can hand on, Linux tells the tool.

    Args:
        command (List[str]): The tool and its arguments.

    Returns:
        int: Its exit code; minus the signal where one has ended it.
    """
    with subprocess.Popen(command, preexec_fn=_end_with_parent()) as process:
        there = [getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)]
        if threading.current_thread() is not threading.main_thread():
            there = []  # Python lets the main thread alone have handlers
        handed_on = [number for number in there if signal.getsignal(number) != signal.SIG_IGN]  # as with nohup
        before = {number: signal.signal(number, lambda *_: process.terminate()) for number in handed_on}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end_with_parent() -> Optional[Callable[[], object]]:
    """What a child process calls for a SIGTERM when its parent dies; only Linux has that."""
    if sys.platform != 'linux':
        return None
    library = ctypes.CDLL(None)  # here: the child should do as little as it can before it begins
    set_death_signal = 1
    return lambda: library.prctl(set_death_signal, signal.SIGTERM)
