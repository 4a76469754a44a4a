"""A bar in a terminal, and nowhere else."""

import sys
from io import StringIO

import pytest

from mmlgd.utils.bar import shown_in_bar


@pytest.mark.parametrize('is_terminal', [True, False])
def test_a_terminal_has_a_bar_and_a_file_nothing(is_terminal, monkeypatch):
    screen = StringIO()
    screen.isatty = lambda: is_terminal
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setattr(sys, 'stderr', screen)
    assert list(shown_in_bar([1, 2, 3], 'student')) == [1, 2, 3]
    assert ('student' in screen.getvalue()) == is_terminal
