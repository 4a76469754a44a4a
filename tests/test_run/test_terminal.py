"""What a run leaves out of the terminal."""

import logging

import pytest

from mmlgd.run.terminal import _is_for_terminal


@pytest.mark.parametrize(
    'text, is_told',
    [
        ('The prefix is not set in metric class IoUMetric.', False),
        ('"FileClient" will be deprecated in future.', False),
        ("Similarities to class names are 0.3162 times those of the words' teacher", False),
        ('The teacher tells 1.1 of 3 class names apart.', True),
    ],
)
def test_what_is_not_for_a_user_is_for_the_file_alone(text, is_told):
    record = logging.LogRecord('mmengine', logging.WARNING, __file__, 1, text, (), None)
    assert _is_for_terminal(record) is is_told
