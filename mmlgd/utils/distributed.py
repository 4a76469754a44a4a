"""What the processes of a distributed run tell each other when something goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from mmlgd.errors import MMLGDError, reason_of


class OtherRankError(MMLGDError, RuntimeError):
    """Another process of this run failed, and this one did not; the message has the reason of the other one."""


@contextmanager
def fail_together() -> Iterator[None]:
    """Make all ranks leave a block with an error if one of them does, instead of waiting for that one forever.

    All ranks have to enter the block. Inside, none may communicate with the others. Outside a distributed run it does
    nothing.

    Raises:
        OtherRankError: On the ranks without an error of their own; the message has the first failed rank and its
            reason.

    Examples:
        >>> with fail_together():
        ...     print('alone')
        alone
    """
    fault = None
    try:
        yield
    except Exception as error:
        fault = error
        print_log(f'Stopping: {reason_of(error)}', 'current', 40)  # at once: the others may be busy for a while
    told = all_gather_object(fault and f'{type(fault).__name__}: {reason_of(fault)}')
    if fault is not None:
        raise fault
    for rank, reason in enumerate(told):
        if reason:
            raise OtherRankError(f'Rank {rank} of this run has stopped, so all ranks stop. Its reason: {reason}')
