"""A run that is stopped in its last evaluation has that evaluation when it goes on, and no other step."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmlgd.checkpoints.resume import last_whole_checkpoint


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.line, self.steps = nn.Linear(1, 1), 0

    def forward(self, inputs, mode):
        self.steps += mode == 'loss'
        return dict(loss=self.line(inputs).square().mean()) if mode == 'loss' else [0]


class Stopped(Evaluator):
    """Is stopped when it is asked for the figures of a certain evaluation."""

    def __init__(self, at):
        super().__init__([])
        self.at, self.calls = at, 0

    def process(self, *arguments, **options):
        pass

    def evaluate(self, size):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return dict(acc=self.calls)


def train(work_dir, loop, evaluator, resume=None):
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2,
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    by_epoch = 'max_epochs' in loop
    runner = Runner(
        Line(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=loop,
        val_dataloader=loader,
        val_evaluator=evaluator,
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='mmlgd.AtomicCheckpointHook', interval=1, by_epoch=by_epoch)),
        log_processor=dict(by_epoch=by_epoch),
        experiment_name=f'{work_dir.name}_{resume is not None}',
        resume=resume is not None,
        load_from=resume and str(resume),
    )
    runner.train()
    return runner.model.steps


@pytest.mark.parametrize(
    'loop', [dict(type='mmlgd.EpochTrainLoop', max_epochs=2), dict(type='mmlgd.IterTrainLoop', max_iters=4)]
)
def test_a_run_stopped_in_its_last_evaluation_is_evaluated_when_it_goes_on(tmp_path, loop):
    loop = dict(loop, val_interval=1 if 'max_epochs' in loop else 2)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, loop, Stopped(at=2))
    again = Stopped(at=None)
    assert train(tmp_path, loop, again, last_whole_checkpoint(tmp_path)) == 0 and again.calls == 1
