"""Runs in processes of their own: several at once, each with a card, and none is left behind."""

import os
import signal
import sys
import time

import pytest

from mmlgd.errors import ConfigError
from mmlgd.run.child import RunError
from mmlgd.studies import processes
from mmlgd.studies.processes import Run, run_all
from tests.children import Child, in_one_worker
from tests.test_run.test_child import is_alive

MEETS = """
import pathlib, sys, time
folder, name, other = pathlib.Path(sys.argv[1]), *sys.argv[2:]
(folder / name).touch()
while not (folder / other).exists():
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(processes, '_PAUSE', 0.01)


def python(tmp_path, name, code, *arguments):
    return Run([sys.executable, '-c', code, *map(str, arguments)], tmp_path / name / 'output.txt')


def test_two_run_at_once(tmp_path):
    runs = [python(tmp_path, name, MEETS, tmp_path, f'{name}.here', f'{other}.here') for name, other in ('ab', 'ba')]
    done = []
    run_all(runs, 2, lambda number, seconds: done.append((number, seconds)))
    assert {number for number, _ in done} == {0, 1} and all(0 < seconds < 60 for _, seconds in done)


@pytest.mark.parametrize(
    'visible, cards, jobs, expected',
    [
        (None, 2, 2, {'0', '1'}),
        ('3,5', 9, 2, {'3', '5'}),
        ('7', 1, 2, {'7'}),
        (None, 0, 2, {'unset'}),
        (None, 2, 1, {'unset'}),
    ],
)
def test_each_place_has_its_card(tmp_path, monkeypatch, visible, cards, jobs, expected):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    monkeypatch.setattr('torch.cuda.device_count', lambda: cards)
    told = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES', 'unset'))" + (f'\n{MEETS}' if jobs > 1 else '')
    runs = [python(tmp_path, name, told, tmp_path, f'{name}.here', f'{other}.here') for name, other in ('ab', 'ba')]
    run_all(runs, jobs)
    assert {one.output.read_text().strip() for one in runs} == expected


def test_after_a_failure_the_others_end_and_none_starts(tmp_path):
    fails = python(tmp_path, 'a', f'{MEETS}\nsys.exit("KeyError: a")', tmp_path, 'a.here', 'b.here')
    goes_on = python(tmp_path, 'b', f'{MEETS}\ntime.sleep(0.3)', tmp_path, 'b.here', 'a.here')
    later = python(tmp_path, 'c', '')
    done = []
    with pytest.raises(RunError, match=r'a/output.txt and ends with\nKeyError: a'):
        run_all([fails, goes_on, later], 2, lambda number, seconds: done.append(number))
    assert done == [1] and not later.output.exists()


def test_a_run_whose_figure_is_refused_does_not_stop_the_others(tmp_path):
    def done(number, seconds):
        seen.append(number)
        if len(seen) == 1:
            raise ConfigError('no such metric')

    seen = []
    runs = [python(tmp_path, name, MEETS, tmp_path, f'{name}.here', f'{other}.here') for name, other in ('ab', 'ba')]
    with pytest.raises(ConfigError, match='no such metric'):
        run_all(runs, 2, done)
    assert sorted(seen) == [0, 1]


def test_an_error_in_between_stops_all(tmp_path):
    def done(number, seconds):
        raise ZeroDivisionError

    sleeps = python(tmp_path, 'b', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)')
    waits = 'import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).read_text().strip(): time.sleep(0.01)'
    sleeps.output.parent.mkdir()
    sleeps.output.touch()
    with pytest.raises(ZeroDivisionError):
        run_all([python(tmp_path, 'a', waits, sleeps.output), sleeps], 2, done)
    assert not is_alive(int(sleeps.output.read_text()))


def three(folder):
    tool = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
    run_all([python(folder, name, tool) for name in 'abc'], 2)


@in_one_worker
@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_stops_all_and_says_how_to_go_on(tmp_path, sent):
    child = Child(three, tmp_path, log=tmp_path / 'said.txt')
    outputs = [tmp_path / name / 'output.txt' for name in 'ab']
    child.until(lambda: all(one.is_file() and one.read_text().endswith('\n') for one in outputs))
    os.kill(child.pid, sent)
    code, said = child.wait()
    if sent == signal.SIGKILL:
        assert code == -sent
    else:
        assert code == 1 and f'mmlgd.utils.stopping.Stopped: {int(sent)}' in said
    assert not (tmp_path / 'c').exists()
    deadline = time.monotonic() + 30
    while any(is_alive(int(one.read_text())) for one in outputs):  # those of a killed one hear from the system
        assert time.monotonic() < deadline
        time.sleep(0.02)
