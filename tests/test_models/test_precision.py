"""Precision is chosen where the optimizer is built, said once, and the same for all who ask."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from mmlgd.models import precision
from mmlgd.models.precision import mixed_precision, precision_settings
from tests import ROOT

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

    return have


@pytest.mark.parametrize('bf16', [True, False])
def test_the_config_is_the_same_and_the_wrapper_is_the_machine_s(machine, said, bf16):
    machine(bf16)
    settings = Config.fromfile(CONFIG).optim_wrapper
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
