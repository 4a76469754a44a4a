"""Tests of the model of a run."""

from types import SimpleNamespace

from torch import nn

from mmlgd.utils.models import plain_model, trained_parts


class Wrapper(nn.Module):
    """What mmengine takes for a wrapper: it is in the registry of wrappers."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_a_wrapper_is_taken_off_and_a_part_named_module_is_not(monkeypatch):
    inner = nn.Linear(2, 2)
    other = Wrapper(inner)  # a model that has a part with this name
    assert plain_model(SimpleNamespace(model=other)) is other
    monkeypatch.setattr('mmlgd.utils.models.is_model_wrapper', lambda model: isinstance(model, Wrapper))
    assert plain_model(SimpleNamespace(model=other)) is inner


def test_parts_with_weights_in_the_state_dict():
    class Silent(nn.Linear):
        def state_dict(self, *args, **kwargs):
            return {}

    model = nn.ModuleDict(dict(backbone=nn.Linear(2, 2), act=nn.ReLU(), beside=Silent(2, 2)))
    assert list(trained_parts(model)) == ['backbone']
