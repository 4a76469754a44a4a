"""Functions in processes of their own, which may be killed. One fresh process imports the stack, the others fork it."""

import datetime
import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from mmlgd.cli.__main__ import main
from tests.quick import be_quick

# With several test processes, all of these tests in one: the stack is then imported once.
in_one_worker = pytest.mark.xdist_group('children')

PATIENCE = 300  # seconds for what takes a few on a machine with nothing else to do
_CONTEXT = multiprocessing.get_context('forkserver')
# What `mmlgd train`, `store` and `evaluate` import when they run.
_CONTEXT.set_forkserver_preload(['mmlgd.run.labelled', 'mmlgd.run.train_options', 'mmlgd.evaluation', __name__])


def start(function, *arguments, daemon=False, device='cpu'):
    if device != 'cpu':  # a fork of the server sees no card
        process = multiprocessing.get_context('spawn').Process(target=function, args=arguments, daemon=daemon)
        process.start()
        return process
    process = _CONTEXT.Process(target=function, args=arguments, daemon=daemon)
    # The server, which the first child starts, and so all children: on the CPU, whose sums are always the same.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('CUDA_VISIBLE_DEVICES', '')
        process.start()
    return process


class Child:
    """A function in a process of its own.

    Attributes:
        log (Path): What it prints, and the error it ends with.
    """

    def __init__(self, function, *arguments, log):
        self.log = Path(log)
        self._process = start(_call, str(self.log), function, arguments)

    @property
    def pid(self):
        return self._process.pid

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def until(self, is_there):
        """Wait for what it does; an end before that is a failure."""
        while not is_there():
            assert self._process.is_alive(), self.log.read_text(errors='replace')
            time.sleep(0.02)

    def wait(self):
        """The exit code (minus the signal), and what it printed."""
        self._process.join(PATIENCE)
        return self._process.exitcode, self.log.read_text(errors='replace')  # folders may be named as no UTF-8


def run(function, *arguments, log):
    return Child(function, *arguments, log=log).wait()


def ranks(function, folder, *arguments, device='cpu'):
    """Start a function on two ranks of a process group, which may share a card; ``folder`` is made."""
    folder.mkdir()
    call = (function, folder, arguments)
    return [start(_on_rank, rank, *call, daemon=True, device=device) for rank in range(2)]


def outcomes(function, folder, *arguments, device='cpu'):
    """What a function returned, or the error that it raised, on each of two ranks."""
    for process in ranks(function, folder, *arguments, device=device):
        process.join(PATIENCE)
        assert process.exitcode == 0
    return [torch.load(folder / f'outcome_{rank}.pth', map_location='cpu') for rank in range(2)]


def _on_rank(rank, function, folder, arguments):
    torch.set_num_threads(1)
    gc.freeze()  # as in conftest.py
    be_quick()
    os.environ.update(MMLGD_CACHE=str(folder / 'cache'), LOCAL_RANK=str(rank))
    torch.distributed.init_process_group(
        'gloo',
        f'file://{folder}/rendezvous',
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=PATIENCE),
    )
    try:
        outcome = function(folder, *arguments)
    except Exception as error:
        traceback.print_exc()
        outcome = f'{type(error).__name__}: {error}'
    torch.save(outcome, folder / f'outcome_{rank}.pth')
    os._exit(0)  # without a farewell to a group of which the other may be gone


def _call(log, function, arguments):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def verb(name, arguments, fault=None, *details):
    """Run ``mmlgd NAME`` with something that will happen to it."""
    gc.freeze()  # as in conftest.py
    be_quick()
    if fault is not None:
        fault(*details)
    main([name, *map(str, arguments)], standalone_mode=False)


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
