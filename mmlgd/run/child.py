"""A run in a child process, which ends with this process."""

import ctypes
import signal
import subprocess
import sys
import threading
from typing import IO, Callable, Optional

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


def run(command: list[str], output: Optional[IO[str]] = None) -> int:
    """Run a tool to its end; signals that stop this process also stop the tool.

    SIGTERM from a scheduler, SIGINT from ``kill`` or Ctrl-C and SIGHUP from a closed terminal are passed on as SIGTERM,
    which torchrun passes on to its processes; checkpoints stay complete at any time. SIGKILL cannot be passed on; on
    Linux the kernel then stops the tool.

    Args:
        command (List[str]): The tool and its arguments.
        output (IO[str], optional): An open file for both of its output streams. Defaults to None: this process's.

    Returns:
        int: Its exit code; the negative signal number if a signal ended it.
    """
    errors = None if output is None else subprocess.STDOUT
    with subprocess.Popen(command, stdout=output, stderr=errors, preexec_fn=_end_with_parent()) as process:
        there = [getattr(signal, name) for name in ('SIGTERM', 'SIGINT', 'SIGHUP') if hasattr(signal, name)]
        if threading.current_thread() is not threading.main_thread():
            there = []  # Python allows signal handlers only in the main thread
        handed_on = [
            number for number in there if signal.getsignal(number) != signal.SIG_IGN
        ]  # keep ignored signals ignored, as with nohup
        before = {number: signal.signal(number, lambda *_: process.terminate()) for number in handed_on}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end_with_parent() -> Optional[Callable[[], object]]:
    """Return a function for a child process, which requests a SIGTERM when its parent dies; only on Linux."""
    if sys.platform != 'linux':
        return None
    library = ctypes.CDLL(None)  # loaded here, because a child should do as little as possible before exec
    set_death_signal = 1
    return lambda: library.prctl(set_death_signal, signal.SIGTERM)
