"""Tests that run on the CPU and on a card alike, and what makes each of the two wait.

``make card`` runs those of a card in the files that import this module.
"""

from contextlib import contextmanager
from functools import partial

import pytest
import torch
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch.utils._python_dispatch import TorchDispatchMode

CARD = pytest.param('cuda', marks=pytest.mark.gpu)  # conftest.py skips it where there is no card
# These ask for the fixture `device` of conftest.py.
on_each_device = pytest.mark.parametrize('device', ['cpu', CARD], indirect=True)
on_card = pytest.mark.parametrize('device', [CARD], indirect=True)


# Machine code for whole networks takes minutes on a CPU.
compiled_on_card = pytest.mark.parametrize(
    'device, compile',
    [('cpu', False), *(pytest.param('cuda', compile, marks=pytest.mark.gpu) for compile in (False, True))],
    indirect=['device'],
)

aten = torch.ops.aten
# On a card each of these waits until everything before it is done.
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.is_nonzero, aten.equal}


class NoWaiting(TorchDispatchMode):
    """Fail on the CPU at what would wait on a card."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket not in WAITS, f'{func} reads a value back to the host'
        if func.overloadpacket is aten.index:
            assert not any(i is not None and i.dtype == torch.bool for i in args[1]), 'a mask is read back to the host'
        return func(*args, **(kwargs or {}))


@contextmanager
def never_waiting(device):
    """Fail where the host waits for the device; of a card, torch itself says so."""
    if device == 'cpu':
        with NoWaiting():
            yield
        return
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def scale_losses_on_the_cpu(replace=setattr):
    """Let the optimizer's wrapper for mixed precision, and its scaler, work without a card."""
    replace(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    replace(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, 'cpu'))
