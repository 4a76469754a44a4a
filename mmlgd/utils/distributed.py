"""An error in one process of a distributed run stops all processes, with its reason."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from mmlgd.errors import MMLGDError, reason_of


class OtherRankError(MMLGDError, RuntimeError):
    """Another process of this run failed; the message has its reason."""


@contextmanager
def fail_together() -> Iterator[None]:
    """If one rank leaves the block with an error, make all ranks leave it with an error instead of waiting forever.

    All ranks must enter the block, and must not communicate inside it. Outside a distributed run, the block does
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
