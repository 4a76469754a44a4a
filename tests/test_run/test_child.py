"""A tool in a process of its own ends when its parent does, however that ends."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmlgd.run.child import RunError, run
from tests import ROOT


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_tool_behind(sent):
    tool = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
    parent = f'import sys; from mmlgd.run.child import run; sys.exit(run([sys.executable, "-c", {tool!r}]) < 0)'
    command = [sys.executable, '-c', parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        pid = int(process.stdout.readline())
        process.send_signal(sent)
        assert process.wait(30) == (-9 if sent == signal.SIGKILL else 1)  # after its tool, which SIGTERM has ended
    for _ in range(500):  # of a parent that was killed, the tool hears from the system
        if not is_alive(pid):
            return
        time.sleep(0.01)
    raise AssertionError('The tool is still there.')


def test_a_run_below_nohup_outlives_its_terminal():
    tool = 'import sys, time; print(flush=True); time.sleep(0.3); sys.exit(7)'
    parent = f'import sys; from mmlgd.run.child import run; sys.exit(run([sys.executable, "-c", {tool!r}]))'
    command = ['nohup', sys.executable, '-c', parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 7


def is_alive(pid):
    """One that has ended, and waits for somebody to ask how, is not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_it_runs_outside_of_the_main_thread():
    """As in a server, or a notebook with threads: Python lets no other thread have handlers of signals."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(run([sys.executable, '-c', 'raise SystemExit(7)'])))
    thread.start()
    thread.join()
    assert codes == [7]


def test_an_error_has_the_exit_code_of_a_shell():
    assert (RunError('x', 7).code, RunError('x', -15).code) == (7, 143)
    assert RunError('x').code == 1
