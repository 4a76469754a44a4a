"""Freed memory stays in the process, so that the next step does not ask the system for it."""

import platform
import subprocess
import sys

import pytest
import torch

from mmlgd.utils import memory
from tests import ROOT

FAULTS = """
import resource, sys, torch
from mmlgd.utils.memory import keep_freed_memory
if sys.argv[1] == 'kept':
    assert keep_freed_memory()
def step():
    torch.ones(2**24)  # 64 MiB
for _ in range(20):
    step()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def of_a_step():
    before = faults()
    step()
    return faults() - before
print(min(of_a_step() for _ in range(5)))  # a busy system may take pages of a process that waits for its turn
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc' or torch.accelerator.is_available(), reason='only glibc, without a GPU'
)
def test_a_step_asks_the_system_for_no_memory_again():
    def faults(way):
        command = [sys.executable, '-c', FAULTS, way]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)

    # 64 MiB are 16,384 pages, unless the system has huge ones. The first steps ask for memory in both ways: malloc puts
    # up to seven small pieces of each size behind the tensor, which it never gives back, and so leaves holes too small.
    assert faults('kept') < 100 < faults('given back')


def test_other_machines_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(memory.ctypes, 'CDLL', None)
    monkeypatch.setattr(memory.platform, 'libc_ver', lambda: ('', ''))  # musl
    assert not memory.keeps_freed_memory() and not memory.keep_freed_memory()
    monkeypatch.undo()
    monkeypatch.setattr(memory.ctypes, 'CDLL', None)
    monkeypatch.setattr(torch.accelerator, 'is_available', lambda: True)
    assert not memory.keep_freed_memory()
