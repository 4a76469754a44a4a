"""A small training, killed wherever a checkpoint is written or removed."""

import builtins
import os
import zipfile
from fnmatch import fnmatch

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmlgd.apis import read_checkpoint
from mmlgd.apis.resume import last_whole_checkpoint
from mmlgd.engine import AtomicCheckpointHook

from .. import children

pytestmark = children.in_one_worker


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.line(inputs).square().mean()) if mode == 'loss' else [0]


class Better(Evaluator):
    """A score that is better in each epoch."""

    score = 0

    def process(self, *arguments, **options):
        pass

    def evaluate(self, size):
        self.score += 1
        return dict(acc=self.score)


def train(work_dir, epochs=4, fault=None, *details, hook=AtomicCheckpointHook, **options):
    if fault is not None:
        fault(*details)
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2,
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    evaluation = dict(val_dataloader=loader, val_evaluator=Better([]), val_cfg=dict())
    Runner(
        Line(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=hook(interval=1, **options)),
        **(evaluation if 'save_best' in options else {}),
    ).train()


def there(folder):
    return sorted(file.name for file in folder.glob('*.pth*'))


def kill_after_renaming(name):
    replace = os.replace

    def replace_(source, target):
        replace(source, target)
        if fnmatch(str(target), f'*/{name}'):
            children.die()

    os.replace = replace_


def kill_when_removing(name):
    remove = LocalBackend.remove

    def remove_(self, path):
        if fnmatch(str(path), f'*/{name}'):
            children.die()
        remove(self, path)

    LocalBackend.remove = remove_


@pytest.mark.parametrize(
    'fault, left',
    [
        ((children.die_in_write, 'epoch_3.pth*'), {'epoch_2.pth'}),
        ((kill_after_renaming, 'epoch_3.pth'), {'epoch_2.pth', 'epoch_3.pth'}),
        ((kill_when_removing, 'epoch_2.pth'), {'epoch_2.pth', 'epoch_3.pth'}),
    ],
)
def test_a_kill_at_any_point_leaves_a_whole_checkpoint(tmp_path, fault, left):
    folder = tmp_path / 'run'
    code, log = children.run(some_kept, folder, AtomicCheckpointHook, 1, *fault, log=tmp_path / 'log')
    assert code == -9, log
    whole = {name for name in there(folder) if not name.endswith('.part')}
    assert whole == left and all(zipfile.ZipFile(folder / name).testzip() is None for name in whole)
    assert last_whole_checkpoint(folder).name in left


def some_kept(folder, hook, keep, *fault):
    train(folder, 4, *fault, hook=hook, max_keep_ckpts=keep)


def half_a_write(name):
    """The same kill, where mmengine writes: into the file's own place, by the built-in ``open``."""
    opened = builtins.open

    def open_(file, mode='r', *arguments, **options):
        handle = opened(file, mode, *arguments, **options)
        return children._DiesHalfway(handle) if 'w' in mode and fnmatch(str(file), f'*/{name}') else handle

    builtins.open = open_


def test_mmengines_own_hook_leaves_none(tmp_path):
    """The reason for ours; where this fails, it may go."""
    folder = tmp_path / 'run'
    fault = (half_a_write, 'epoch_3.pth')
    code, log = children.run(some_kept, folder, CheckpointHook, 1, *fault, log=tmp_path / 'log')
    assert code == -9, log
    assert there(folder) == ['epoch_3.pth'] and not zipfile.is_zipfile(folder / 'epoch_3.pth')


@pytest.mark.parametrize('keep, left', [(-1, 4), (1, 1), (3, 3)])
def test_as_many_are_kept_as_with_mmengines_own(tmp_path, keep, left):
    for hook in (AtomicCheckpointHook, CheckpointHook):
        folder = tmp_path / hook.__name__
        code, log = children.run(some_kept, folder, hook, keep, log=tmp_path / 'log')
        assert code == 0, log
        assert there(folder) == [f'epoch_{k}.pth' for k in range(5 - left, 5)]
        assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_4.pth')


def best_kept(folder, *fault):
    train(folder, 3, *fault, max_keep_ckpts=1, save_best='acc', rule='greater')


def test_the_best_one_outlives_a_kill_in_the_next_best(tmp_path):
    folder = tmp_path / 'run'
    code, log = children.run(best_kept, folder, children.die_in_write, 'best_acc_epoch_3.pth*', log=tmp_path / 'log')
    assert code == -9, log
    assert {'best_acc_epoch_2.pth', 'epoch_3.pth'} <= set(there(folder))


def test_the_best_one_replaces_the_one_before(tmp_path):
    folder = tmp_path / 'run'
    code, log = children.run(best_kept, folder, log=tmp_path / 'log')
    assert code == 0, log
    assert there(folder) == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    hub = read_checkpoint(folder / 'epoch_3.pth')['message_hub']['runtime_info']
    assert hub['best_ckpt'] == str(folder / 'best_acc_epoch_3.pth') and hub['keep_ckpt_ids'] == [3]
