"""Averaged students in real runs: what is averaged, evaluated, kept in a checkpoint, and resumed."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

import mmlgd
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.checkpoints.words import words_of
from mmlgd.engine.numerics.ema_hook import EMAHook

STUDENT = ('backbone.', 'neck.')


class Watch(Hook):
    """Keep the weights of each step, and those that are evaluated."""

    priority = 'LOWEST'

    def __init__(self):
        self.steps, self.evaluated = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps.append(state_of(runner))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.evaluated.append(state_of(runner))


def state_of(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items() if isinstance(v, torch.Tensor)}


def train(recipe, work_dir, name, resume=None, kind='mmlgd.EMAHook', **options):
    """Two epochs of three steps; a queue beside the visual bank."""
    cfg = Config.fromfile(recipe)
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'{work_dir}{name}'
    cfg.train_dataloader.dataset.size = 32
    cfg.optim_wrapper.optimizer.lr, cfg.param_scheduler = 0.03, None
    cfg.model.queue = dict(size=5)
    cfg.custom_hooks = [dict(type='mmlgd.FiniteCheckHook'), dict(type=kind, momentum=0.5, **options)]
    cfg.resume, cfg.load_from = resume is not None, resume and str(resume)
    watch, runner = Watch(), Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    return runner, watch


def assert_equal(ours, theirs, prefixes=('',)):
    for name, value in ours.items():
        if isinstance(value, torch.Tensor) and name.startswith(prefixes):
            torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.fixture(scope='module')
def unbroken(recipe, tmp_path_factory):
    """Two epochs, with averaged statistics of batch norm."""
    return train(recipe, tmp_path_factory.mktemp('unbroken'), 'first', update_buffers=True)


@pytest.mark.parametrize('averages_statistics', [True, False])
def test_the_student_is_averaged_and_the_banks_are_not(recipe, unbroken, tmp_path, averages_statistics):
    begin = 0 if averages_statistics else 3
    runner, watch = unbroken if averages_statistics else train(recipe, tmp_path, 'late', begin_epoch=2)
    last = watch.steps[-1]
    trained = {name for name, _ in runner.model.named_parameters()}
    expected = dict(last)
    for name in {name for name in last if name.startswith(STUDENT)} if averages_statistics else trained:
        expected[name] = watch.steps[begin][name]  # the first average is the value itself
        for step in watch.steps[begin + 1 :]:
            if expected[name].is_floating_point():
                expected[name] = expected[name].lerp(step[name], 0.5)
    assert not torch.equal(expected['neck.mlp.0.weight'], last['neck.mlp.0.weight'])
    assert_equal(watch.evaluated[-1], expected)  # banks and queue are those of the last step
    assert_equal(state_of(runner), last)  # which the run has again after the evaluation
    assert last['visual_bank.visited'].any() and last['queue.pointer'] == 24 % 5

    saved = read_checkpoint(Path(runner.work_dir, 'epoch_2.pth'))
    assert_equal(saved['state_dict'], expected)
    assert words_of(saved['state_dict']['textual_bank._extra_state'])['class_names'] == ['cat', 'dog', 'tree']
    assert {name.split('.')[1] for name in saved['ema_state_dict'] if name != 'steps'} == {'backbone', 'neck'}
    assert_equal({name: saved['ema_state_dict'][f'module.{name}'] for name in trained}, last)


def test_a_resumed_run_with_averages_equals_an_uninterrupted_run(recipe, unbroken, tmp_path):
    runner, expected = unbroken
    file = Path(runner.work_dir, 'epoch_1.pth')
    resumed, watch = train(recipe, tmp_path, 'second', resume=file, update_buffers=True)
    assert len(watch.steps) == 3
    assert_equal(state_of(resumed), state_of(runner))
    assert_equal(watch.evaluated[-1], expected.evaluated[-1])


def test_a_run_without_averages_can_resume_with_them(recipe, unbroken, tmp_path):
    saved = read_checkpoint(Path(unbroken[0].work_dir, 'epoch_1.pth'))
    del saved['ema_state_dict']
    torch.save(saved, tmp_path / 'plain.pth')
    runner, watch = train(recipe, tmp_path, 'plain', resume=tmp_path / 'plain.pth')
    (hook,) = (hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    first, last = watch.steps[0]['neck.mlp.0.weight'], watch.steps[-1]['neck.mlp.0.weight']
    expected = first.lerp(watch.steps[1]['neck.mlp.0.weight'], 0.5).lerp(last, 0.5)
    torch.testing.assert_close(hook.ema_model.module.neck.mlp[0].weight, expected)


def test_mmengines_own_hook_averages_and_resumes_an_lgd_model(recipe, tmp_path):
    runner, watch = train(recipe, tmp_path / 'unbroken', 'own', kind='mmengine.EMAHook')
    file = tmp_path / 'unbroken/epoch_2.pth'
    saved, last = read_checkpoint(file)['state_dict'], watch.steps[-1]
    assert not torch.equal(saved['neck.mlp.0.weight'], last['neck.mlp.0.weight'])
    assert_equal(saved, last, ('textual_bank', 'visual_bank', 'queue'))
    assert mmlgd.get_zero_shot_classifier(file).class_names == ['cat', 'dog', 'tree']
    resumed, again = train(
        recipe, tmp_path / 'resumed', 'own', resume=file.with_name('epoch_1.pth'), kind='mmengine.EMAHook'
    )
    assert_equal(state_of(resumed), state_of(runner))
    assert_equal(again.evaluated[-1], watch.evaluated[-1])


AVERAGES = dict(
    another_shape=lambda saved: saved['ema_state_dict'].update({'module.neck.mlp.0.weight': torch.zeros(1)}),
    text=lambda saved: saved['ema_state_dict'].update({'module.neck.mlp.0.weight': 'x'}),
    nan=lambda saved: saved['ema_state_dict']['module.neck.mlp.0.weight'].fill_(torch.nan),
    missing=lambda saved: saved['ema_state_dict'].pop('module.neck.mlp.0.weight'),
    more=lambda saved: saved['ema_state_dict'].update({'module.other': torch.zeros(1)}),
    by_number=lambda saved: saved['ema_state_dict'].update({5: torch.zeros(1)}),
    empty=lambda saved: saved['ema_state_dict'].clear(),
    not_trained=lambda saved: saved['state_dict'].pop('neck.mlp.0.weight'),
    no_neck=lambda saved: saved.update(state_dict={'backbone.a': torch.zeros(1)}),
)


@pytest.fixture(scope='module')
def averaging():
    """A hook before its run, with a backbone and a neck to average."""
    model = nn.ModuleDict(
        dict(backbone=nn.Conv2d(3, 4, 1), neck=nn.ModuleDict(dict(mlp=nn.Sequential(nn.Linear(2, 2)))))
    )
    runner, hook = SimpleNamespace(model=model, _load_from='a.pth', _resume=True), EMAHook()
    hook.before_run(runner)
    return hook, runner


@pytest.mark.parametrize('name', [None, *AVERAGES])
def test_averages_of_another_student_are_refused(name, averaging):
    hook, runner = averaging
    saved = dict(state_dict=runner.model.state_dict(), ema_state_dict=hook.ema_model.state_dict())
    saved = copy.deepcopy(saved)
    if name is None:
        hook.after_load_checkpoint(runner, saved)
        return
    AVERAGES[name](saved)
    with pytest.raises(CheckpointError, match=r'a\.pth'):
        hook.after_load_checkpoint(runner, saved)
