"""The whole training step, through mmengine's optimizer wrapper: what it asks of the device, memory and batches."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch.utils._python_dispatch import TorchDispatchMode

from mmlgd import LGDLoss
from mmlgd.registry import MODELS

from .test_banks import unit

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
aten = torch.ops.aten
# On a GPU each of these waits until everything before it is done.
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.is_nonzero, aten.equal}


class NoWaiting(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket not in WAITS, f'{func} reads a value back to the host'
        if func.overloadpacket is aten.index:
            assert not any(i is not None and i.dtype == torch.bool for i in args[1]), 'a mask is read back to the host'
        return func(*args, **(kwargs or {}))


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


@pytest.mark.parametrize('banks', BANKS)
def test_a_step_never_waits_for_the_device(lgd_config, banks):
    lgd_config.update(loss=dict(mask_unvisited=True), **BANKS[banks])
    model = MODELS.build(lgd_config).train()
    optim_wrapper = wrapper(model)
    with NoWaiting():
        model.train_step(batch(), optim_wrapper)
    with pytest.raises(AssertionError, match='reads a value back'), NoWaiting():
        torch.ones(1).item()


@needs_gpu
@pytest.mark.parametrize('compile', [False, True])
@pytest.mark.parametrize('banks', BANKS)
def test_a_step_never_waits_for_the_gpu(lgd_config, banks, compile):
    lgd_config.update(loss=dict(mask_unvisited=True), **BANKS[banks])
    lgd_config['compile'] = lgd_config['teacher']['compile'] = compile
    lgd_config['channels_last'] = True
    model = MODELS.build(lgd_config).cuda().train()
    amp = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
    optim_wrapper = wrapper(model, **amp)
    data = batch()
    data['inputs'] = data['inputs'].cuda()
    for _ in range(3):  # compilation and cuDNN's choice of kernels may wait, steps may not
        model.train_step(data, optim_wrapper)
    torch.cuda.set_sync_debug_mode('error')
    try:
        model.train_step(data, optim_wrapper)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@needs_gpu
def test_the_fast_path_on_a_gpu_agrees_with_eager_float32(lgd_config):
    losses = []
    for fast in (False, True):
        torch.manual_seed(0)
        config = copy.deepcopy(lgd_config)
        config['compile'] = config['teacher']['compile'] = config['channels_last'] = fast
        model = MODELS.build(config).cuda().train()
        inputs = model.data_preprocessor(batch(32))['inputs']
        with torch.autocast('cuda', torch.bfloat16, enabled=fast):
            losses.append(model(inputs, mode='loss'))
    for key in losses[0]:  # 8 bits of mantissa, divided by a temperature of 0.01
        torch.testing.assert_close(losses[1][key], losses[0][key], rtol=3e-2, atol=3e-2)


def test_bfloat16_autocast_and_channels_last_stay_near_float32(lgd_config):
    losses = []
    for fast in (False, True):
        torch.manual_seed(0)
        model = MODELS.build(dict(copy.deepcopy(lgd_config), channels_last=fast)).train()
        inputs = model.data_preprocessor(batch(16))['inputs']
        with torch.autocast('cpu', torch.bfloat16, enabled=fast):
            losses.append(model(inputs, mode='loss'))
    for key in losses[0]:
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
