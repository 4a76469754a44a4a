"""A thousand tiny steps through mmengine's runner: memory stays flat, and every number stays what it has to be."""

import json
import os
import resource
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.registry import HOOKS
from tests import ROOT, children

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
STEPS, WARM, EPOCHS = 975, 300, 13

pytestmark = children.in_one_worker


def memory():  # in MiB; the peak, where the system does not tell what is held now
    if os.path.exists('/proc/self/statm'):
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)


@TRANSFORMS.register_module()
class Draw:
    """Images are not read: files are not what is tested."""

    def __call__(self, results):
        image = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(results['sample_idx']))
        noise = torch.randint(0, 30, image.shape)  # each view is another one
        return dict(inputs=(image + noise).clamp(max=255).byte(), data_samples=DataSample())

    transform = __call__


@HOOKS.register_module()
class Watch(Hook):
    """Keep what a run holds and loses."""

    def __init__(self, file):
        self.file, self.told = file, dict(held=[], losses=[])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.told['losses'].append(outputs['loss'].item())
        if (runner.iter + 1) % 75 == 0:
            self.told['held'].append(memory())

    def after_train(self, runner):
        logged = len(runner.message_hub.get_scalar('train/loss').data[0])
        with open(self.file, 'w') as file:
            json.dump(dict(self.told, logged=logged), file)


def run(config, told):
    torch.set_num_threads(1)
    cfg = Config.fromfile(config)
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=25, dataset=cfg.train_dataloader.dataset)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='mmlgd.Watch', file=str(told))]
    mmlgd.train(cfg)


@pytest.mark.exhaustive
def test_a_thousand_steps_leave_memory_flat_and_banks_sound(recipe_of, tmp_path):
    """As the recipe has it, hooks included, with three banks; the visual one keeps its rows at unit length."""
    (tmp_path / 'mine.py').write_text(
        recipe_of(RECIPE)
        + "model['backbone'].update(num_stages=2, out_indices=(1,), strides=(1, 2), dilations=(1, 1))\n"
        + "model['neck']['in_channels'] = 16\n"
        + "model['visual_bank'] = dict(normalize=True)\nmodel['queue'] = dict(size=50)\n"
        + "train_dataloader['dataset']['pipeline'] = [dict(type='Draw')]\n"
        + 'val_cfg = val_dataloader = val_evaluator = None\n'
        + f'train_cfg = dict(max_epochs={EPOCHS}, val_interval=10**6)\n'
        + f'default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval={EPOCHS // 4}))\n'
        + f"work_dir = r'{tmp_path / 'run'}'\n"
    )
    # In a process of its own, whose memory is that of the run.
    code, log = children.run(run, tmp_path / 'mine.py', tmp_path / 'told.json', log=tmp_path / 'log')
    assert code == 0, log[-3000:]
    told = json.loads((tmp_path / 'told.json').read_text())
    assert len(told['losses']) == told['logged'] == STEPS
    assert torch.tensor(told['losses']).isfinite().all()
    held = told['held']
    assert len(held) == STEPS // 75
    grown = max(held[-3:]) - max(held[: WARM // 75])
    assert grown < 8, f'{grown:.1f} MiB more after {STEPS} steps than in the first {WARM}: {held}'

    state = read_checkpoint(tmp_path / 'run' / f'epoch_{EPOCHS}.pth')['state_dict']
    assert all(value.isfinite().all() for value in state.values() if isinstance(value, torch.Tensor))
    for name in ('textual_bank', 'visual_bank', 'queue'):
        lengths = state[f'{name}.bank'].norm(dim=-1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-5, rtol=0)
    assert state['queue.visited'].all() and state['queue.pointer'] == STEPS * 4 % 50
    assert sum(told['losses'][-200:]) < sum(told['losses'][:200])  # and it has learnt
