"""The memory that a training on a CPU gives back to the system and asks for again in each step."""

import ctypes
import platform
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h
_MOST = 2**30  # bytes of one tensor that malloc keeps; larger ones go back to the system
_ALL = 2**31 - 1


def keeps_freed_memory() -> bool:
    """Say whether :func:`keep_freed_memory` can do something here.

    Returns:
        bool: Whether the C library is glibc.

    Examples:
        >>> isinstance(keeps_freed_memory(), bool)
        True
    """
    return sys.platform == 'linux' and platform.libc_ver()[0] == 'glibc'


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones, if torch has no accelerator here.

    By default, glibc gives the memory of a large tensor back to the system as soon as it is freed. The next step asks
    for it again, and the system clears each page, which may take half of a step (docs/performance.md). The process then
    keeps what it has needed at once, which it needs again in the next step. The first steps may add to it: a hole of
    just the size of a tensor is too small for the next one, because malloc asks for some bytes more.

    Returns:
        bool: Whether it does so.
    """
    import torch

    if torch.accelerator.is_available() or not keeps_freed_memory():
        return False
    malloc = ctypes.CDLL(None)
    return bool(malloc.mallopt(_MMAP_THRESHOLD, _MOST) and malloc.mallopt(_TRIM_THRESHOLD, _ALL))
