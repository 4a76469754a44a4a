"""Bank health: its figures at the extremes, and where they are logged."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import MessageHub

from mmlgd.engine import BankHealthHook
from mmlgd.engine.numerics.bank_health_hook import bank_health
from mmlgd.registry import MODELS


def test_prototypes_equal_to_their_names_have_entropy_0():
    health = bank_health(3 * torch.eye(5), torch.tensor([True] * 4 + [False]), torch.eye(5), temperature=0.01)
    assert health == dict(visited=pytest.approx(0.8), prototype_entropy=pytest.approx(0, abs=1e-6))


def test_prototypes_equally_near_to_all_names_have_entropy_1():
    health = bank_health(torch.ones(5, 5), torch.ones(5, dtype=torch.bool), torch.eye(5), temperature=0.01)
    assert health == dict(visited=1, prototype_entropy=pytest.approx(1))


def test_before_a_first_visit_there_is_no_entropy():
    assert bank_health(torch.eye(2), torch.zeros(2, dtype=torch.bool), torch.eye(2), 0.01) == dict(visited=0)
    assert bank_health(torch.eye(1), torch.ones(1, dtype=torch.bool), torch.eye(1), 0.01)['prototype_entropy'] == 0


@given(seed=st.integers(0, 10**6), k=st.integers(2, 12), temperature=st.floats(0.005, 10))
def test_visited_and_entropy_are_in_0_to_1(seed, k, temperature):
    generator = torch.Generator().manual_seed(seed)
    bank, text = torch.randn(2, k, 8, generator=generator)
    health = bank_health(bank, torch.rand(k, generator=generator) < 0.5, F.normalize(text, dim=-1), temperature)
    assert all(0 <= value <= 1 + 1e-5 for value in health.values())


def runner(model):
    hub = MessageHub.get_instance(f'bank_health_{id(model)}')
    return SimpleNamespace(model=model, message_hub=hub, visualizer=Mock(), logger=Mock(), epoch=3)


def test_the_state_of_the_bank_goes_to_log_hub_and_visualizer(lgd_config):
    model = MODELS.build(lgd_config)
    model.loss(torch.randn(3, 3, 64, 64))
    one = runner(model)
    hook = BankHealthHook()
    hook.before_train(one)
    one.logger.info.assert_not_called()
    hook.after_train_epoch(one)
    (scalars,), options = one.visualizer.add_scalars.call_args
    assert set(scalars) == {'bank/visited', 'bank/prototype_entropy'} and options == dict(step=4)
    assert scalars['bank/visited'] == pytest.approx(model.visual_bank.visited.float().mean().item())
    assert one.message_hub.get_scalar('bank/visited').current() == scalars['bank/visited']
    assert 'bank/visited: ' in one.logger.info.call_args[0][0]


MODELS_WITHOUT = {
    'no bank': None,
    'a queue': dict(visual_bank=dict(type='mmlgd.QueueBank', size=8)),
    'a bank that nobody reads': dict(loss=dict(alpha=0.0)),
}


@pytest.mark.parametrize('more', MODELS_WITHOUT.values(), ids=MODELS_WITHOUT)
def test_a_model_without_a_bank_of_classes_is_left_alone(lgd_config, more):
    one = runner(torch.nn.Linear(2, 2) if more is None else MODELS.build({**lgd_config, **more}))
    hook = BankHealthHook()
    hook.before_train(one)
    assert 'no visual bank' in one.logger.info.call_args[0][0]
    hook.after_train_epoch(one)
    one.visualizer.add_scalars.assert_not_called()
