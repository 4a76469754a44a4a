"""Ctrl-C and SIGTERM: what must not be cut is finished first, and the user is told what is safe and how to go on."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

SIGNALS = (signal.SIGINT, signal.SIGTERM)
COMMAND = 'MMLGD_COMMAND'  # in the environment: what the user typed to start this process or the one above it


class Stopped(KeyboardInterrupt):
    """A signal has stopped this process.

    Not an ``Exception``, so that no library takes it for a fault of its own.

    Args:
        number (int): Number of the signal.
        is_cut (bool): It came again, inside a block that must not be cut. Defaults to False.

    Attributes:
        safe (str): What has been done and is safe; empty if there is nothing to go on with.
    """

    def __init__(self, number: int, is_cut: bool = False):
        super().__init__(number)
        self.number = number
        self.is_cut = is_cut
        self.safe = ''

    @property
    def code(self) -> int:
        """int: The exit code that a shell gives to a process that this signal has ended."""
        return 128 + self.number


class _Signals:
    """What the signals of this process have asked for."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.first: Optional[int] = None
        self.is_interrupted = False
        self.replaced: dict[int, Any] = {}  # handlers, by signal
        self.blocks = 0  # open blocks that must not be cut
        self.is_due = False

    def handle(self, number: int, frame: object) -> None:
        if os.getpid() != self.owner:
            if number == signal.SIGINT:  # a terminal sends it to the processes that read images, too
                return
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        is_again = number == signal.SIGINT and self.is_interrupted
        self.is_interrupted |= number == signal.SIGINT
        if self.first is not None and not is_again:
            return  # a terminal or a batch system, and the parent process, tell the same with two signals
        self.first = number
        if hasattr(signal, 'SIGCHLD') and signal.SIGCHLD not in self.replaced:
            # A batch system tells it to the processes that read images, too. torch would raise an error for their end,
            # in the middle of the step that is finished now.
            self.replaced[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self.blocks and not is_again:
            self.is_due = True
            print('\nStopping after this step. Ctrl-C once more stops at once.', file=sys.stderr, flush=True)
            return
        raise Stopped(number, is_cut=bool(self.blocks))


_active: Optional[_Signals] = None


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise :class:`Stopped` inside, at a place where nothing is cut. A second SIGINT cuts.

    A signal that was ignored before, as by nohup, stays ignored. In another thread than the main one, which gets no
    signals, nothing changes.
    """
    global _active
    if _active is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _active = _Signals()
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _active.handle) for number in heard}
    signals = _active
    try:
        yield
    finally:
        _active = None
        for number, handler in {**before, **signals.replaced}.items():
            if handler is not None:  # one that is not Python's cannot be put back
                signal.signal(number, handler)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let a signal wait for the end of this block, if :func:`stoppable` is around it.

    Raises:
        Stopped: At the end, if a signal has come.
    """
    signals = _active
    if signals is None:
        yield
        return
    signals.blocks += 1
    try:
        yield
    finally:
        signals.blocks -= 1
    if signals.is_due and not signals.blocks:
        signals.is_due = False
        raise Stopped(signals.first)
