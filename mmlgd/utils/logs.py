"""The log of mmengine, which everything here writes to."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def warnings_alone() -> Iterator[None]:
    """Leave out the lines of mmengine's log that are no warnings.

    Yields:
        None: Nothing.
    """
    from mmengine.logging import MMLogger  # here, so that the help of a verb does not wait for it

    logger = MMLogger.get_current_instance()
    usual = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(usual)
