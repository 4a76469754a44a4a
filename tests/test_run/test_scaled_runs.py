"""A run with scaled losses that is resumed is the unbroken run: its weights, its banks and the scale of its losses."""

import pytest
import torch

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from tests.devices import on_each_device

SCALER = dict(init_scale=1024.0, growth_interval=2)  # it grows in each epoch of three steps
OPTIONS = {
    'val_cfg': None,
    'val_dataloader': None,
    'val_evaluator': None,
}


@on_each_device
@pytest.mark.usefixtures('loss_scaler')
def test_a_resumed_run_has_the_scale_of_the_unbroken_run(recipe, tmp_path, device):
    # mmengine's autocast on a CPU takes bf16 alone.
    wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16' if device == 'cpu' else 'float16', loss_scale=SCALER)

    def train(name, epochs, **more):
        options = {**OPTIONS, 'optim_wrapper': wrapper, 'train_cfg.max_epochs': epochs}
        done = mmlgd.train(recipe, work_dir=tmp_path / name, cfg_options=options, **more)
        return read_checkpoint(done.checkpoint)

    unbroken, half = train('unbroken', 2), train('resumed', 1)
    scale = half['optimizer']['loss_scaler']
    assert scale['scale'] > SCALER['init_scale'] and scale['_growth_tracker'] == 1
    resumed = train('resumed', 2, resume=True)
    assert resumed['optimizer']['loss_scaler'] == unbroken['optimizer']['loss_scaler'] != scale
    slack = 1e-6 if device == 'cpu' else 1e-2  # float16, and a card does not always add in the same order
    for name, value in unbroken['state_dict'].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(resumed['state_dict'][name], value, rtol=slack, atol=slack, msg=name)
