"""The bar of a terminal, the lines of a log, and the last words of a run."""

import logging
import re
import sys
from io import StringIO
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmlgd.engine import ProgressHook, SummaryHook
from mmlgd.engine.reports.progress_hook import _clock, data_wait


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, mode):
        return dict(loss=(self.weight * torch.stack(x)).mean())


class Terminal(StringIO):
    def isatty(self):
        return True


class Fail(Hook):
    def after_train_iter(self, runner, batch_idx, **kwargs):
        if batch_idx == 1:
            raise RuntimeError('stopped')


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Train for two epochs of three steps; the screen is the return value."""

    def run(hooks, screen, name, checkpoint=True):
        monkeypatch.setattr(sys, 'stdout', screen)
        runner = Runner(
            model=Line(),
            work_dir=str(tmp_path / name),
            train_dataloader=dict(
                dataset=[dict(x=torch.ones(1))] * 6, batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1), **({} if checkpoint else dict(checkpoint=None))
            ),
            custom_hooks=hooks,
            experiment_name=name,
        )
        try:
            runner.train()
        finally:
            monkeypatch.undo()
        return screen.getvalue(), runner

    return run


def test_a_terminal_has_the_bar_and_the_log_above_it(run):
    screen, runner = run([dict(type='mmlgd.ProgressHook', interval=1)], Terminal(), 'terminal')
    plain = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', screen)
    assert 'epoch 2/2' in plain and '6/6' in plain
    assert re.search(r'loss \d\.\d{3}  eta 0:00:\d\d  waiting \d+ %', plain)
    assert 'Epoch(train) [2][3/3]' in plain
    assert screen.rstrip().endswith('\x1b[?25h') or '\x1b[?25h' in screen  # the cursor is back
    streams = [h.stream for h in runner.logger.handlers if type(h) is logging.StreamHandler]
    assert streams and not any('rich' in type(stream).__module__ for stream in streams)


def test_a_pipe_has_the_log_alone(run):
    screen, _ = run([dict(type='mmlgd.ProgressHook', interval=1)], StringIO(), 'pipe')
    assert '\x1b[?25' not in screen and 'waiting' not in screen
    assert 'Epoch(train) [2][3/3]' in screen


def test_a_run_that_fails_leaves_no_bar_behind(run):
    hook = ProgressHook(terminal=True)
    with pytest.raises(RuntimeError, match='stopped'):
        run([hook, Fail()], Terminal(), 'fails')
    assert hook._progress is not None  # its stop is registered with atexit
    hook._stop(logging.getLogger('unused'))
    assert hook._progress is None


def test_an_interval_below_one():
    with pytest.raises(ValueError, match='at least 1 step, got 0'):
        ProgressHook(interval=0)


def test_the_summary_has_time_checkpoint_and_next_commands(run, tmp_path, monkeypatch):
    screen, _ = run([dict(type='mmlgd.SummaryHook')], StringIO(), 'summary')
    assert re.search(r'Done: 2 epochs\. This run took 0:00:0\d; \d+ % of a step is waiting for images\.', screen)
    assert 'summary/epoch_2.pth' in screen
    for part in (
        'mmlgd predict',
        'mmlgd evaluate',
        'mmlgd detect --data DIR --student',
        "prefix='backbone.'",
        '--to torchvision',
    ):
        assert part in screen


def test_without_a_checkpoint_the_reason_is_said(run):
    screen, _ = run([dict(type='mmlgd.SummaryHook')], StringIO(), 'none', checkpoint=False)
    assert 'No checkpoint was written' in screen and '--student' not in screen


def test_waiting_for_images_is_named():
    hub = MessageHub('waiting')
    for wait, time in ((0.9, 1.0), (0.5, 1.0)):
        hub.update_scalar('train/data_time', wait)
        hub.update_scalar('train/time', time)
    lines = []
    runner = SimpleNamespace(message_hub=hub, epoch=3, logger=SimpleNamespace(info=lines.append))
    assert data_wait(runner) == pytest.approx(0.7)
    assert data_wait(runner, steps=1) == pytest.approx(0.5)
    hook = SummaryHook()
    hook.before_train(runner)
    hook.after_train(runner)
    assert '70 % of a step' in lines[0] and 'num_workers' in lines[0]


def test_the_clock():
    assert [_clock(seconds) for seconds in (0.4, 61, 3600 * 30 + 59.6)] == ['0:00:00', '0:01:01', '30:01:00']


def test_the_summary_comes_after_the_last_checkpoint():
    """mmengine calls hooks by priority."""
    from mmengine.runner import get_priority

    assert get_priority(SummaryHook.priority) > get_priority(CheckpointHook.priority)


@pytest.mark.parametrize('used, collapsed', [(5.0, False), (1.0, True)])
def test_the_evaluation_is_part_of_the_summary(used, collapsed):
    hub = MessageHub(f'evaluated_{used}')
    told = dict(agreement=40.0, effective_classes=used, teacher_effective_classes=6.0)
    for key, value in (*{f'val/distillation/{key}': value for key, value in told.items()}.items(), ('train/time', 1.0)):
        hub.update_scalar(key, value)
    hub.update_scalar('train/data_time', 0.1)
    lines = []
    hook, runner = SummaryHook(), SimpleNamespace(message_hub=hub, epoch=3, logger=SimpleNamespace(info=lines.append))
    hook.before_train(runner)
    hook.after_train(runner)
    assert f'agrees on 40.0 %, and uses {used} names where the teacher uses 6.0.' in lines[0]
    assert ('it has collapsed' in lines[0]) == collapsed
