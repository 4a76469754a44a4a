"""torch.compile where the platform supports it; elsewhere a plain run and a line in the log."""

from functools import lru_cache
from typing import Union

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import nn

from mmlgd.utils.validation import require


def compile_module(module: nn.Module, name: str, compile: Union[bool, str] = True) -> None:
    """Let torch compile a module at its first call, in place; its state dict and its copies do not change.

    Args:
        module (nn.Module): The module. A deep copy of it runs uncompiled.
        name (str): Name of the module for the log.
        compile (bool | str): ``'auto'`` compiles on a GPU, where it takes a minute at the start of a run; on a CPU it
            would take minutes and gain less. True compiles on every device that supports it, False never. Defaults to
            True.

    Raises:
        ConfigError: ``compile`` has another value.

    Examples:
        >>> layer = nn.Linear(2, 2)
        >>> compile_module(layer, 'the layer', 'auto')
        >>> sorted(layer.state_dict())
        ['bias', 'weight']
    """
    require(compile in (True, False, 'auto'), f"compile is True, False or 'auto', got {compile!r}.")
    device = get_device()
    if compile == 'auto':
        compile = device == 'cuda'
        if compile:
            print_log(f'Compiling {name} at its first step: about a minute.', 'current')
    if not compile:
        return
    reason = _why_not(device)
    if reason:
        print_log(f'Running {name} without torch.compile, which does not work here: {reason}', 'current', 30)
    else:
        module.compile()


@lru_cache
def _why_not(device: str) -> str:
    """Compile a minimal function; return an empty string if it ran, else torch's error."""
    try:
        torch.compile(torch.neg)(torch.ones(1, device=device))
    except Exception as error:  # each part of torch's compiler has its own error class
        return (str(error).splitlines() or [type(error).__name__])[0]
    return ''
