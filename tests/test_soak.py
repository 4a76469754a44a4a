"""Thousands of tiny steps through mmengine's runner: memory stays flat, and every number stays what it has to be."""

import json
import subprocess
import sys

import pytest
import torch

from mmlgd.checkpoints import read_checkpoint
from tests import ROOT

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_pictures.py'
STEPS, WARM, EPOCHS = 2025, 500, 27

# In a process of its own, whose memory is that of the run. Pictures are read once: files are not what is tested.
RUN = """
import json, os, resource, sys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS
import torch

held, losses = [], []

def memory():  # in MiB; the peak, where the system does not tell what is held now
    if os.path.exists('/proc/self/statm'):
        return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 2**10)

@TRANSFORMS.register_module()
class Draw:
    def transform(self, results):
        picture = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(results['sample_idx']))
        noise = torch.randint(0, 30, picture.shape)  # each view is another one
        from mmpretrain.structures import DataSample
        return dict(inputs=(picture + noise).clamp(max=255).byte(), data_samples=DataSample())
    __call__ = transform

class Watch(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        losses.append(outputs['loss'].item())
        if (runner.iter + 1) % 100 == 0:
            held.append(memory())

cfg = Config.fromfile(sys.argv[1])
cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=25, dataset=cfg.train_dataloader.dataset)
runner = Runner.from_cfg(cfg)
runner.register_hook(Watch())
runner.train()
json.dump(dict(held=held, losses=losses, logged=len(runner.message_hub.get_scalar('train/loss').data[0])),
          open(sys.argv[2], 'w'))
"""


@pytest.mark.slow
def test_thousands_of_steps_leave_memory_flat_and_banks_sound(recipe_of, tmp_path):
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
    command = [sys.executable, '-c', RUN, str(tmp_path / 'mine.py'), str(tmp_path / 'told.json')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / 'told.json').read_text())
    assert len(told['losses']) == told['logged'] == STEPS
    assert torch.tensor(told['losses']).isfinite().all()
    held = told['held']
    assert len(held) == STEPS // 100
    grown = max(held[-3:]) - max(held[: WARM // 100])
    assert grown < 16, f'{grown:.0f} MiB more after {STEPS} steps than in the first {WARM}: {held}'

    state = read_checkpoint(tmp_path / 'run' / f'epoch_{EPOCHS}.pth')['state_dict']
    assert all(value.isfinite().all() for value in state.values() if isinstance(value, torch.Tensor))
    for name in ('textual_bank', 'visual_bank', 'queue'):
        lengths = state[f'{name}.bank'].norm(dim=-1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths), atol=1e-5, rtol=0)
    assert state['queue.visited'].all() and state['queue.pointer'] == STEPS * 4 % 50
    assert sum(told['losses'][-200:]) < sum(told['losses'][:200])  # and it has learnt
