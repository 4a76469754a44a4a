"""The order of rows: similar ones are neighbours, also among thousands."""

import numpy as np

from mmlgd.figures.ordering import alike_together


def test_thousands_of_rows_take_seconds():
    """The best order of all branches would take minutes."""
    groups = np.random.default_rng(0).normal(size=(500, 16))
    order = alike_together(np.concatenate([groups, groups, groups, groups * 2]))
    assert sorted(order) == [*range(2000)]
    assert (np.diff((order % 500).reshape(500, 4)) == 0).all()  # the four of a group lie side by side
