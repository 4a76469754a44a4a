"""Rows that are the same are found, and no others."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from mmlgd.utils.numerics import same_rows


@given(copies=st.lists(st.integers(0, 19), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_each_row_is_paired_with_its_next_copy(copies, seed):
    of_names = normalize(torch.randn(20, 16, generator=torch.Generator().manual_seed(seed)), dim=1)
    rounding = 1e-7 * torch.randn(len(copies), 16, generator=torch.Generator().manual_seed(seed + 1))
    found = same_rows(of_names[copies] + rounding)
    assert all(copies[i] == copies[j] and i < j for i, j in found)
    assert len(found) == len(copies) - len(set(copies))


def test_similar_rows_are_not_the_same():
    rows = normalize(torch.tensor([[1, 0.0], [1, 0.05], [1, 0.1]]), dim=1)
    assert same_rows(rows) == [] and same_rows(rows[:1]) == []
