"""Functions in processes of their own, which may be killed. One fresh process imports the stack, the others fork it."""

import multiprocessing
import os
import runpy
import signal
import sys
import traceback
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests import ROOT

# With several test processes, all of these tests in one: the stack is then imported once.
in_one_worker = pytest.mark.xdist_group('children')

_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(['mmlgd.engine', 'mmlgd.evaluation', 'mmlgd.store', __name__])


class Child:
    """A function in a process of its own.

    Attributes:
        log (Path): What it prints, and the error it ends with.
    """

    def __init__(self, function, *arguments, log):
        self.log = Path(log)
        self._process = _CONTEXT.Process(target=_call, args=(str(self.log), function, arguments))
        # The server, which the first child starts, and so all children: on the CPU, whose sums are always the same.
        seen = os.environ.get('CUDA_VISIBLE_DEVICES')
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        self._process.start()
        os.environ.pop('CUDA_VISIBLE_DEVICES')
        if seen is not None:
            os.environ['CUDA_VISIBLE_DEVICES'] = seen

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self):
        """The exit code (minus the signal), and what it printed."""
        self._process.join(120)
        return self._process.exitcode, self.log.read_text(errors='replace')  # folders may be named as no UTF-8


def run(function, *arguments, log):
    return Child(function, *arguments, log=log).wait()


def _call(log, function, arguments):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def tool(name, arguments, fault=None, *details):
    """Run one of the tools, with something that will happen to it."""
    if fault is not None:
        fault(*details)
    script = ROOT / 'tools' / f'{name}.py'
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *map(str, arguments)]
    runpy.run_path(str(script), run_name='__main__')


def as_nobody(action, *arguments):
    """Do something as a user who may write nowhere; only root can become one."""
    os.setgid(65534)
    os.setuid(65534)
    action(*arguments)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_write(name):
    """Be killed when half of a file of this name (a pattern) is written."""
    opened = Path.open

    def open_(self, mode='r', *arguments, **options):
        handle = opened(self, mode, *arguments, **options)
        return _DiesHalfway(handle) if set(mode) & set('wx') and fnmatch(self.name, name) else handle

    Path.open = open_


class _DiesHalfway:
    def __init__(self, handle):
        self._handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def write(self, content):
        self._handle.write(content[: len(content) // 2])
        self._handle.flush()
        die()


def at_step(number, action, *details):
    """Do something before the step of this number."""
    from mmengine.runner import EpochBasedTrainLoop

    run_iter = EpochBasedTrainLoop.run_iter

    def run_iter_(self, *arguments):
        if self.iter == number:
            action(*details)
        return run_iter(self, *arguments)

    EpochBasedTrainLoop.run_iter = run_iter_
