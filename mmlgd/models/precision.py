"""The precision of training: bf16 if the device has it, resolved when the optimizer is built."""

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch.optim import Optimizer

from mmlgd.registry import OPTIM_WRAPPERS

AUTO = 'mmlgd.AutoOptimWrapper'


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
