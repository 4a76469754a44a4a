"""What a run says before its first step, and how long it takes."""

import time
from types import SimpleNamespace

import pytest
from torch.utils.data import BatchSampler, DataLoader

from mmlgd.engine import StartHook
from mmlgd.engine.reports import start_hook
from mmlgd.engine.reports.start_hook import _batch, _teacher, duration


@pytest.fixture
def told(monkeypatch):
    """Take steps of so many seconds, by a clock of the test; what is said, with the step after which."""

    def told(seconds, steps, epochs, start=0, pause=0.0):
        now, said = [0.0], []
        monkeypatch.setattr(start_hook, 'time', SimpleNamespace(**{**vars(time), 'monotonic': lambda: now[0]}))
        monkeypatch.setattr(start_hook, '_lines', lambda runner: [('images', 3), ('folder', 'x')])
        runner = SimpleNamespace(
            iter=start, max_iters=epochs * steps, val_loop=None, model=None, logger=SimpleNamespace()
        )
        runner.logger.info = lambda text: said.append((runner.iter, text))
        monkeypatch.setattr(start_hook, 'plain_model', lambda runner: None)
        hook = StartHook()
        hook.before_train(runner)
        while runner.iter < runner.max_iters:
            hook.before_train_epoch(runner)
            now[0] += pause
            for k in range(steps):
                now[0] += seconds
                hook.after_train_iter(runner, k)
                runner.iter += 1
            hook.after_train_epoch(runner)
        return said

    return told


def test_it_says_what_is_trained_then_the_time_and_the_time_again(told):
    said = told(seconds=1.0, steps=93, epochs=10, pause=9.3)
    assert said[0] == (0, 'This run:\n  images  3\n  folder  x')
    # 3 steps are not counted, 8 are measured; 919 are left.
    assert said[1][0] == 10 and said[1][1].startswith('About 15 min to go on this machine, until ')
    assert '1 s a step, measured over 8 steps.' in said[1][1]
    # The pauses between epochs are in the second estimate.
    assert said[2][0] == 93 and 'About 15 min' in said[2][1] and '1.1 s a step, measured over 93 steps' in said[2][1]
    assert len(said) == 3


def test_fast_steps_are_measured_for_longer(told):
    said = told(seconds=0.01, steps=1000, epochs=2, start=1000)  # resumed
    assert [step for step, _ in said] == [1000, 1403]  # its last epoch says no more
    assert 'measured over 401 steps' in said[1][1] or 'measured over 400 steps' in said[1][1]


def test_short_epochs_are_told_once_they_are_over(told):
    said = told(seconds=1.0, steps=2, epochs=50)
    assert [step for step, _ in said] == [0, 2]


def test_a_run_that_is_over_has_no_time_to_go(told):
    assert [step for step, _ in told(seconds=1.0, steps=11, epochs=1)] == [0]


def test_the_images_of_a_step_are_those_of_a_sampler_of_batches_too():
    images = range(12)
    assert _batch(DataLoader(images, batch_size=3)) == '3 images'
    assert _batch(DataLoader(images, batch_sampler=BatchSampler(images, 2, drop_last=False))) == '2 images'
    assert _batch(DataLoader(images, batch_sampler=[[0, 1], [2]])) == 'a batch of its sampler'


@pytest.mark.parametrize(
    'settings, said',
    [
        (dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained='openai'), 'OpenCLIPTeacher RN50 openai'),
        (dict(type='mmlgd.CachedTeacher', store='st', teacher=dict(type='A')), 'A, from the store st'),
        (
            dict(type='mmlgd.TeacherPair', words=dict(type='B'), looks=dict(backbone='timm:x')),
            'B for names, timm:x for looks',
        ),
        (dict(type='mmlgd.TeacherPair', words=dict(type='B'), looks='logits', looks_share=0.0), 'B'),
        (dict(type='mmlgd.ConSETeacher', visual_share=0.9), 'ConSETeacher for names, logits for looks'),
        (dict(type='mmlgd.RADIOTeacher', weights='x', words=dict(type='B')), 'RADIOTeacher'),
    ],
)
def test_a_teacher_is_named(settings, said):
    assert _teacher(settings) == said


def test_durations_have_the_digits_that_matter():
    assert [duration(s) for s in (0.4, 89, 90, 5399, 5400, 16_560, 172_800)] == [
        '0 s',
        '89 s',
        '2 min',
        '90 min',
        '1.5 h',
        '4.6 h',
        '2.0 days',
    ]
