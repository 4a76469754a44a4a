"""A backbone at rate 0 stays as it is, bit by bit; another one learns."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmlgd.engine import FrozenBackboneHook
from mmlgd.errors import ConfigError


class Detector(BaseModel):
    """A backbone with a batch norm, and a head with another."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4))
        self.head = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.head(self.backbone(inputs)).square().mean())


def train(rate, tmp_path, loop=None):
    runner = Runner(
        Detector(),
        work_dir=tmp_path,
        train_dataloader=DataLoader([dict(inputs=row) for row in torch.randn(16, 2)], batch_size=4),
        train_cfg=loop or dict(type='IterBasedTrainLoop', max_iters=6),
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5),
            paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=rate))),
        ),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=2, end=6),
        ],
        default_hooks=dict(checkpoint=None, frozen=dict(type='mmlgd.FrozenBackboneHook')),
        default_scope='mmengine',
        log_level='ERROR',
        experiment_name=f'rate {rate} {loop} {tmp_path}',
    )
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    after = runner.model.state_dict()
    return {key.split('.')[0] for key in before if not torch.equal(before[key], after[key])}, runner


@pytest.mark.parametrize('loop', [None, dict(type='EpochBasedTrainLoop', max_epochs=2)])
def test_weights_and_statistics_stay(loop, tmp_path):
    changed, runner = train(0.0, tmp_path, loop)
    assert changed == {'head'}
    assert all(parameter.grad is None for parameter in runner.model.backbone.parameters())


def test_a_backbone_with_a_rate_learns_at_it(tmp_path):
    changed, runner = train(0.1, tmp_path)
    assert changed == {'backbone', 'head'}
    rates = [group['initial_lr'] for group in runner.optim_wrapper.optimizer.param_groups]
    assert rates == pytest.approx([0.01] * 4 + [0.1] * 4)


def test_parts_with_optimizers_of_their_own():
    model = Detector()
    rates = dict(backbone=0.0, head=0.1)
    wrappers = {part: OptimWrapper(torch.optim.SGD(getattr(model, part).parameters(), rates[part])) for part in rates}
    runner = SimpleNamespace(model=model, optim_wrapper=OptimWrapperDict(**wrappers), logger=logging.getLogger())
    hook = FrozenBackboneHook()
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters()) and model.head.training
    assert not model.backbone.training and all(parameter.requires_grad for parameter in model.head.parameters())


def test_a_model_without_a_backbone_passes():
    hook = FrozenBackboneHook()
    hook.before_train(SimpleNamespace(model=torch.nn.Linear(1, 1), optim_wrapper=None))
    hook.before_train_iter(None, 0)


def test_several_processes_are_refused(tmp_path, monkeypatch):
    _, runner = train(0.0, tmp_path)
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    torch.nn.Module.__init__(wrapped)
    wrapped.module = runner.model
    runner.model = wrapped
    with pytest.raises(ConfigError, match=r'Train in one process, or .*frozen_stages'):
        FrozenBackboneHook().before_train(runner)
