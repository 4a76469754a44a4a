"""Few of many are spread evenly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlgd.utils.spread import spread


@given(st.integers(1, 300), st.integers(1, 50))
def test_they_are_spread_evenly_in_order(length, most):
    chosen = spread(range(length), most)
    assert len(chosen) == min(length, most) and chosen[0] == 0
    steps = {after - before for before, after in zip(chosen, chosen[1:])}
    assert not steps or (min(steps) > 0 and max(steps) - min(steps) <= 1 and chosen[-1] == length - 1)


@pytest.mark.parametrize('items', [[], 'a', ['a', 'b']])
def test_fewer_are_all_of_them(items):
    assert spread(items, 5) == list(items)
