"""A disk that gets full, for this process alone."""

import contextlib

import pytest


@contextlib.contextmanager
def full_after(size):
    """Refuse to write more bytes than this into a file, as a full disk does.

    Import before what is imported inside of functions: some libraries write files then.
    """
    resource = pytest.importorskip('resource', reason='needs Unix')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
