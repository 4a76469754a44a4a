"""What the processes of a distributed run tell each other when something goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from mmlgd.errors import MMLGDError, reason_of


class OtherRankError(MMLGDError, RuntimeError):
    """This process had no fault; another one of the same run had, and the message has its reason."""


@contextmanager
def fail_together() -> Iterator[None]:
    """Let all ranks leave a block with an error as soon as one of them does, instead of waiting for it for good.

    All ranks enter it, and none may talk to the others inside. Outside a distributed run it does nothing.

    Raises:
        OtherRankError: On the ranks that had no error of their own; with the first other's rank and reason.

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
            raise OtherRankError(f'Rank {rank} of this run has stopped, and so do all. Its reason: {reason}')
