"""What the tests of runs share."""

import pytest


@pytest.fixture(scope='module', autouse=True)
def quickly(short_runs):
    """All of these runs are short."""
