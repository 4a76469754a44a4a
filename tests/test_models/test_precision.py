"""Precision is chosen where the optimizer is built, said once, and the same for all who ask."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from mmlgd.models import precision
from mmlgd.models.precision import autocast_dtype, mixed_precision, precision_settings
from tests import ROOT
from tests.our_configs import config_of

CONFIG = ROOT / 'configs/_base_/schedules/sgd_coslr_90e.py'


@pytest.fixture
def said(monkeypatch):
    texts = []
    monkeypatch.setattr(precision, 'print_log', lambda text, *_: texts.append(text))
    return texts


@pytest.fixture
def machine(monkeypatch):
    """A machine with a card that has bf16, or without one."""

    def have(bf16):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: bf16)
        monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: bf16)
        monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: bf16)
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')  # a first logger asks for the number of the card

    return have


@pytest.mark.parametrize('bf16', [True, False])
def test_the_config_is_the_same_and_the_wrapper_is_the_machine_s(machine, said, bf16):
    machine(bf16)
    settings = config_of(CONFIG).optim_wrapper
    settings.update(accumulative_counts=2, clip_grad=dict(max_norm=1.0))
    settings.optimizer.fused = False
    assert settings.type == 'mmlgd.AutoOptimWrapper' and 'dtype' not in settings
    wrapper = build_optim_wrapper(nn.Linear(2, 2), settings)
    assert type(wrapper) is (AmpOptimWrapper if bf16 else OptimWrapper)
    assert wrapper._accumulative_counts == 2 and wrapper.clip_grad_kwargs == dict(max_norm=1.0)
    assert said == [
        f"Training in {'bf16 autocast' if bf16 else 'float32'} (optim_wrapper.type='mmlgd.AutoOptimWrapper')."
    ]
    resolved = precision_settings(settings)
    assert resolved['type'] == type(wrapper).__name__ and resolved.get('dtype') == ('bfloat16' if bf16 else None)
    if bf16:
        assert wrapper.cast_dtype is torch.bfloat16 and not wrapper.loss_scaler.is_enabled()


def test_mixed_precision_by_the_card(machine):
    machine(True)
    assert mixed_precision()['dtype'] == 'bfloat16'
    machine(False)
    assert mixed_precision() == dict(type='AmpOptimWrapper', dtype='float16', loss_scale=dict(enabled=True))


@pytest.mark.parametrize('mine', [dict(type='OptimWrapper'), dict(type='AmpOptimWrapper', dtype='float16')])
def test_a_config_on_top_names_its_precision(machine, mine, tmp_path):
    """Nothing of the choice is left behind in the base that another wrapper would not take."""
    machine(True)
    (tmp_path / 'mine.py').write_text(f"_base_ = r'{CONFIG}'\noptim_wrapper = {mine!r}\n")
    settings = Config.fromfile(tmp_path / 'mine.py').optim_wrapper
    settings.optimizer.fused = False
    assert type(build_optim_wrapper(nn.Linear(2, 2), settings)).__name__ == mine['type']
    assert precision_settings(settings) == settings


def test_bf16_on_a_cpu_computes_in_bf16_and_keeps_float32(machine):
    machine(False)
    layer = nn.Linear(4, 4)
    settings = dict(type='mmlgd.Bfloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.5), clip_grad=dict(max_norm=1.0))
    wrapper = build_optim_wrapper(layer, settings)
    before = layer.weight.detach().clone()
    with wrapper.optim_context(layer):
        output = layer(torch.ones(2, 4))
        loss = output.float().square().sum()
    assert output.dtype is torch.bfloat16 and not torch.is_autocast_enabled('cpu')
    wrapper.update_params(loss)
    assert layer.weight.dtype is torch.float32 and not torch.equal(layer.weight, before)
    assert autocast_dtype(settings) == 'bfloat16'


@pytest.mark.parametrize('precision', ['bfloat16', 'float16', None])
def test_mmengine_s_wrapper_says_its_precision(precision):
    assert autocast_dtype(dict(type='AmpOptimWrapper', dtype=precision)) == (precision or 'float16')
