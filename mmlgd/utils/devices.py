"""Where to compute: the device that a user names, or the accelerator of this machine."""

from typing import Union

import torch
from mmengine.device import get_device

from mmlgd.errors import ConfigError, sentence


def usable_device(device: Union[str, torch.device, None]) -> torch.device:
    """Refuse a device that torch cannot use here, before anything is loaded.

    Args:
        device (str | torch.device, optional): A device such as ``'cpu'`` or ``'cuda:1'``. None chooses mmengine's: the
            accelerator if there is one, else the CPU.

    Returns:
        torch.device: The device.

    Raises:
        ConfigError: torch does not know it, or this machine does not have it.

    Examples:
        >>> usable_device('cpu')
        device(type='cpu')
    """
    device = get_device() if device is None else device
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # AssertionError: a torch without CUDA
        reason = sentence(str(error).splitlines()[0])
        raise ConfigError(
            f'device is {str(device)!r}, which torch {torch.__version__} cannot use here: {reason} Leave it out, or '
            f'give cpu; `mmlgd doctor` checks the GPU.'
        ) from error
    return found
