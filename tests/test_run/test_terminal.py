"""What a run leaves out of the terminal."""

import logging

import pytest

from mmlgd.run.terminal import _is_for_terminal


@pytest.mark.parametrize(
    'text, is_told',
    [
        ('The prefix is not set in metric class IoUMetric.', False),
        ('"FileClient" will be deprecated in future.', False),
        ('The teacher tells 1.1 of 3 class names apart.', True),
    ],
)
def test_warnings_of_mmengine_about_the_stack_are_for_the_file(text, is_told):
    record = logging.LogRecord('mmengine', logging.WARNING, __file__, 1, text, (), None)
    assert _is_for_terminal(record) is is_told
