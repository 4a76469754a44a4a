"""What the tests of reports share."""

import pytest
from matplotlib.figure import Figure

from tests.quick import draw


@pytest.fixture
def drawn(monkeypatch):
    """Curves with pixels."""
    monkeypatch.setattr(Figure, 'savefig', draw)
