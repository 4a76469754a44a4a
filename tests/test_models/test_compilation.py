import copy
from functools import partialmethod

import pytest
import torch
from torch import nn

from mmlgd.errors import ConfigError
from mmlgd.models import compilation
from mmlgd.registry import MODELS
from tests.devices import on_each_device


def test_without_a_compiler_the_module_runs_and_the_log_says_so(monkeypatch, caplog):
    said = []
    monkeypatch.setattr(compilation, '_why_not', lambda device: 'no compiler found')
    monkeypatch.setattr(compilation, 'print_log', lambda message, *args: said.append(message))
    layer = nn.Linear(2, 2)
    compilation.compile_module(layer, 'the student')
    assert said == ['Running the student without torch.compile, which does not work here: no compiler found']
    assert layer._compiled_call_impl is None and layer(torch.ones(1, 2)).shape == (1, 2)


def test_a_broken_compiler_is_noticed_before_training(monkeypatch):
    def broken(*args):
        raise RuntimeError('no g++\nand a long story')

    monkeypatch.setattr(torch, 'compile', lambda function: broken)
    compilation._why_not.cache_clear()
    assert compilation._why_not('cpu') == 'no g++'
    compilation._why_not.cache_clear()


@pytest.mark.exhaustive  # a compiler of C++ starts, for ten seconds
def test_a_compiler_that_works_is_found():
    compilation._why_not.cache_clear()
    assert compilation._why_not('cpu') == ''


@on_each_device
def test_a_compiled_step_is_the_eager_step(lgd_config, monkeypatch, device):
    """Student and teacher compiled: same losses, same gradients, same checkpoint keys."""
    whole = dict(fullgraph=True)
    if device == 'cpu':  # all of torch's compiler but its last stage: machine code for these graphs takes minutes here
        monkeypatch.setattr(compilation, '_why_not', lambda device: '')
        whole['backend'] = 'aot_eager'
    monkeypatch.setattr(nn.Module, 'compile', partialmethod(nn.Module.compile, **whole))
    slack = 1 if device == 'cpu' else 10  # a card's kernels add in another order
    inputs = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(device)
    results = []
    for compile in (False, True):
        torch.manual_seed(0)
        config = copy.deepcopy(lgd_config)
        config['teacher']['compile'] = config['compile'] = compile
        model = MODELS.build(config).to(device).train()
        losses = model(inputs, mode='loss')
        sum(losses.values()).backward()
        results.append((losses, model))
    (eager, plain), (compiled, model) = results
    assert model.backbone._compiled_call_impl is not None and model.teacher.image_tower._compiled_call_impl is not None
    assert model.state_dict().keys() == plain.state_dict().keys()
    for key in eager:
        torch.testing.assert_close(compiled[key], eager[key], rtol=slack * 1e-4, atol=slack * 1e-5)
    for (name, ours), theirs in zip(model.named_parameters(), plain.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=slack * 1e-3, atol=slack * 1e-5, msg=name)
    copied = copy.deepcopy(model)  # as mmengine's averaged models do: it runs, on weights of its own
    assert copied.backbone._compiled_call_impl is None
    assert copied(inputs, mode='loss').keys() == eager.keys()


@pytest.mark.parametrize(
    'compile, device, compiled', [('auto', 'cuda', True), ('auto', 'cpu', False), (True, 'cpu', True)]
)
def test_auto_compiles_on_a_gpu_and_says_so(monkeypatch, compile, device, compiled):
    said = []
    monkeypatch.setattr(compilation, 'get_device', lambda: device)
    monkeypatch.setattr(compilation, '_why_not', lambda device: '')
    monkeypatch.setattr(compilation, 'print_log', lambda message, *args: said.append(message))
    layer = nn.Linear(2, 2)
    compilation.compile_module(layer, 'the student', compile)
    assert (layer._compiled_call_impl is not None) == compiled
    assert said == (['Compiling the student at its first step: about a minute.'] if device == 'cuda' else [])


def test_another_word_than_auto_is_refused(lgd_config):
    with pytest.raises(ConfigError, match="compile is True, False or 'auto', got 'always'"):
        MODELS.build(dict(lgd_config, compile='always'))
