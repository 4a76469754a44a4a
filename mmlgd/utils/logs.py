"""The log of mmengine, which everything here writes to."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_from(level: str) -> Iterator[None]:
    """Leave out the lines of mmengine's log below a level.

    Args:
        level (str): ``'WARNING'`` or ``'ERROR'``.

    Yields:
        None: Nothing.
    """
    from mmengine.logging import MMLogger  # here, so that the help of a verb does not wait for it

    logger = MMLogger.get_current_instance()
    usual = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(usual)
