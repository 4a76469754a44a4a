"""The precision of training: bf16 if the device has it, resolved when the optimizer is built."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn
from torch.optim import Optimizer

from mmlgd.registry import OPTIM_WRAPPERS

AUTO = 'mmlgd.AutoOptimWrapper'
BFLOAT16 = 'mmlgd.Bfloat16OptimWrapper'


@OPTIM_WRAPPERS.register_module(name='AutoOptimWrapper')
def auto_optim_wrapper(optimizer: Optimizer, **settings) -> OptimWrapper:
    """Build mmengine's optimizer wrapper: bf16 autocast where the device has bf16, float32 elsewhere.

    In a config it is ``optim_wrapper=dict(type='mmlgd.AutoOptimWrapper', optimizer=...)``, so that the config is the
    same on every machine. For the same precision on all machines, name mmengine's ``OptimWrapper`` (float32) or
    ``AmpOptimWrapper`` as ``type`` instead.

    Args:
        optimizer (Optimizer): The optimizer.
        **settings: Settings of mmengine's ``OptimWrapper``: ``accumulative_counts``, ``clip_grad``.

    Returns:
        OptimWrapper: The wrapper; the log states its precision.

    Examples:
        >>> weight = torch.nn.Parameter(torch.zeros(1))
        >>> isinstance(auto_optim_wrapper(torch.optim.SGD([weight], lr=0.1)), OptimWrapper)
        True
    """
    resolved = precision_settings(dict(type=AUTO))
    is_half = resolved.pop('type') == 'AmpOptimWrapper'
    print_log(f'Training in {"bf16 autocast" if is_half else "float32"} (optim_wrapper.type={AUTO!r}).', 'current')
    return (AmpOptimWrapper if is_half else OptimWrapper)(optimizer=optimizer, **resolved, **settings)


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Train in bf16 autocast on any device, the CPU included, where mmengine's ``AmpOptimWrapper`` refuses.

    It is for a CPU that multiplies bf16 (AVX512-BF16, AMX); any other computes the same values slowly. bf16 has the
    range of float32, so there is no loss scaling. Weights, optimizer and evaluation stay in float32.

    Args:
        **settings: Those of mmengine's ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.

    Examples:
        >>> layer = torch.nn.Linear(2, 2)
        >>> wrapper = Bfloat16OptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
        >>> with wrapper.optim_context(layer):
        ...     layer(torch.zeros(1, 2)).dtype
        torch.bfloat16
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in bf16 what autocast computes in bf16, and accumulate gradients as mmengine does.

        Args:
            model (nn.Module): The model of the step, on the device of the step.

        Yields:
            None: In the context.
        """
        with super().optim_context(model), torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
            yield


def has_bf16() -> bool:
    """Check whether this machine has a GPU with native bf16."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def mixed_precision() -> dict:
    """Get the settings of mmengine's optimizer wrapper for mixed precision on this machine's GPU.

    Returns:
        dict: bf16 where the GPU has it, fp16 with loss scaling elsewhere.

    Examples:
        >>> mixed_precision()['type']
        'AmpOptimWrapper'
    """
    if has_bf16():
        # bf16 has the range of float32: it needs no loss scaling, and no wait for the device to find an overflow.
        return dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
    return dict(type='AmpOptimWrapper', dtype='float16', loss_scale=dict(enabled=True))


def precision_settings(wrapper: dict) -> dict:
    """Replace the automatic precision in an optimizer wrapper's config by this machine's precision.

    Args:
        wrapper (dict): ``optim_wrapper`` of a config.

    Returns:
        dict: A copy with one of mmengine's types; a config that names its precision does not change.

    Examples:
        >>> precision_settings(dict(type='AmpOptimWrapper', dtype='float16'))
        {'type': 'AmpOptimWrapper', 'dtype': 'float16'}
    """
    if wrapper.get('type') != AUTO:
        return dict(wrapper)
    return {**wrapper, **(mixed_precision() if has_bf16() else dict(type='OptimWrapper'))}


def autocast_dtype(wrapper: dict) -> Optional[str]:
    """Get the precision that an optimizer wrapper's config gives each step.

    Args:
        wrapper (dict): ``optim_wrapper`` of a config, without :data:`AUTO` (see :func:`precision_settings`).

    Returns:
        str, optional: The dtype of autocast, or None for float32.

    Examples:
        >>> autocast_dtype(dict(type='AmpOptimWrapper')), autocast_dtype(dict(type='OptimWrapper'))
        ('float16', None)
    """
    if wrapper.get('type') == BFLOAT16:
        return 'bfloat16'
    return (wrapper.get('dtype') or 'float16') if wrapper.get('type') == 'AmpOptimWrapper' else None
