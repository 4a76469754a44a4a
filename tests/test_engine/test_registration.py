import pickle

import mmengine
import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

import mmlgd  # noqa: F401


def test_what_mmengine_saves_loads_with_weights_only(tmp_path):
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save(dict(message_hub=dict(log_scalars={'train/loss': buffer}), meta=dict(iter=3)), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth', weights_only=True)['message_hub']['log_scalars']['train/loss']
    assert loaded.statistics('mean') == 2.0
    np.testing.assert_array_equal(loaded.data[0], [1.0, 3.0])


def test_a_loader_that_allows_the_same_for_itself_takes_nothing_away(tmp_path):
    with torch.serialization.safe_globals([HistoryBuffer, np.ndarray, np.dtype, type(np.dtype('float64'))]):
        pass  # as the fork's loader does
    test_what_mmengine_saves_loads_with_weights_only(tmp_path)


SCHEDULERS = dict(
    LinearLR={},
    CosineAnnealingLR=dict(T_max=5),
    OneCycleLR=dict(eta_max=1.0, total_steps=5),
    MultiStepLR=dict(milestones=[1]),
    ReduceOnPlateauLR={},
)


@pytest.mark.parametrize('name', SCHEDULERS)
def test_schedules_load_with_weights_only(name, tmp_path):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = getattr(mmengine.optim, name)(optimizer, **SCHEDULERS[name])
    torch.save(scheduler.state_dict(), tmp_path / 'a.pth')
    scheduler.load_state_dict(torch.load(tmp_path / 'a.pth', weights_only=True))


class Attack:
    """Pickles as a call, as a malicious checkpoint would."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'attack',
    [
        Attack(eval, '1 + 1'),
        Attack(getattr, HistoryBuffer, '__init__'),
        Attack(getattr, HistoryBuffer, 'register_statistics'),
        Attack(getattr, dict, 'fromkeys'),
        Attack(getattr, [], 'append'),
        Attack(mmengine.load, 'file'),
    ],
)
def test_nothing_else_is_let_in(attack, tmp_path):
    torch.save(dict(state_dict={}, meta=attack), tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'a.pth', weights_only=True)
