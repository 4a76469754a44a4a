"""The whole training step, through mmengine's optimizer wrapper: what it asks of the device, memory and batches."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmlgd import LGDLoss
from mmlgd.registry import MODELS
from tests.devices import compiled_on_card, never_waiting, on_each_device

from .test_banks import unit


def batch(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return dict(inputs=torch.randint(0, 256, (n, 3, 64, 64), generator=generator, dtype=torch.uint8), data_samples=None)


def wrapper(model, **options):
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)
    return build_optim_wrapper(model, dict(optimizer=optimizer, **options))


BANKS = {
    'banks': dict(visual_bank=dict(normalize=True)),
    'queue': dict(visual_bank=dict(type='mmlgd.QueueBank', size=8)),
    'three banks': dict(queue=dict(size=8)),
}


def step_without_waiting(model, data, device):
    """On a card, compilation and cuDNN's choice of kernels may wait, steps may not."""
    optim_wrapper = wrapper(model, type='mmlgd.AutoOptimWrapper')
    for _ in range(3 if device == 'cuda' else 0):
        model.train_step(data, optim_wrapper)
    with never_waiting(device):
        model.train_step(data, optim_wrapper)


@compiled_on_card
@pytest.mark.parametrize('banks', BANKS)
def test_a_step_never_waits_for_the_device(lgd_config, banks, device, compile):
    lgd_config.update(loss=dict(mask_unvisited=True), compile=compile, channels_last=True, **BANKS[banks])
    lgd_config['teacher']['compile'] = compile
    model = MODELS.build(lgd_config).to(device).train()
    data = batch()
    step_without_waiting(model, dict(data, inputs=data['inputs'].to(device)), device)


@on_each_device
def test_what_waits_is_found(device):
    with pytest.raises((AssertionError, RuntimeError), match='reads a value back|synchronizing'), never_waiting(device):
        torch.ones(1, device=device).item()


@compiled_on_card
def test_bfloat16_autocast_and_channels_last_stay_near_float32(lgd_config, device, compile):
    losses = []
    for fast in (False, True):
        torch.manual_seed(0)
        config = dict(copy.deepcopy(lgd_config), channels_last=fast, compile=fast and compile)
        config['teacher']['compile'] = fast and compile
        model = MODELS.build(config).to(device).train()
        inputs = model.data_preprocessor(batch(16))['inputs']
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            losses.append(model(inputs, mode='loss'))
    for key in losses[0]:  # 8 bits of mantissa, divided by a temperature of 0.01
        assert losses[1][key].dtype == torch.float32
        torch.testing.assert_close(losses[1][key], losses[0][key], rtol=3e-2, atol=3e-2)


def kept_for_backward(n, k, d=16):
    """Bytes that autograd keeps of the losses, beside the banks themselves."""
    tsb, vsb = unit(k, d), unit(k, d, 1)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        LGDLoss()(unit(n, d, 2).requires_grad_(), unit(n, d, 3), tsb, vsb)
    for bank in (tsb, vsb):
        kept.pop(bank.untyped_storage().data_ptr(), None)
    return sum(kept.values())


def test_memory_of_the_losses_grows_no_faster_than_n_times_k():
    """Two parts, each with the teacher's distribution and the student's, in float32."""
    for n, k in [(64, 500), (64, 2000), (256, 500)]:
        assert kept_for_backward(n, k) <= 1.1 * (2 * 2 * 4 * n * (k + 1))


def test_each_accumulated_micro_batch_meets_the_bank_once(lgd_config):
    """Two micro-batches of 4: gradients of the mean loss of both, and a bank that saw one after the other."""
    torch.manual_seed(0)
    model = MODELS.build(lgd_config).train()
    twin = copy.deepcopy(model)
    optim_wrapper = wrapper(model, accumulative_counts=2)
    optim_wrapper.initialize_count_status(model, 0, 2)
    halves = [batch(4, seed) for seed in range(2)]
    weight = model.neck.mlp[0].weight.detach().clone()
    model.train_step(halves[0], optim_wrapper)
    assert torch.equal(model.neck.mlp[0].weight, weight)  # not yet
    model.train_step(halves[1], optim_wrapper)
    for half in halves:
        (sum(twin(twin.data_preprocessor(half)['inputs'], mode='loss').values()) / 2).backward()
    twin_wrapper = wrapper(twin)
    twin_wrapper.step()
    torch.testing.assert_close(model.neck.mlp[0].weight, twin.neck.mlp[0].weight)
    assert torch.equal(model.visual_bank.bank, twin.visual_bank.bank)
    assert torch.equal(model.visual_bank.visited, twin.visual_bank.visited)
