"""Data sets that repeat, balance or join others give those inside."""

from types import SimpleNamespace

import pytest

from mmlgd.datasets.unwrapping import datasets_in, plain_datasets

A, B = SimpleNamespace(metainfo={}), SimpleNamespace(metainfo={})


@pytest.mark.parametrize(
    ('dataset', 'inside'),
    [
        (None, []),
        (object(), []),  # it says nothing of its classes
        (A, [A]),
        (SimpleNamespace(metainfo=[{}, {}], datasets=[SimpleNamespace(metainfo={}, dataset=A), B]), [A, B]),
    ],
)
def test_built_ones_give_those_with_metainfo(dataset, inside):
    assert [id(one) for one in plain_datasets(dataset)] == [id(one) for one in inside]


@pytest.mark.parametrize(
    ('settings', 'inside'),
    [
        (None, []),
        (dict(type='A'), ['A']),
        (dict(type='Repeat', dataset=dict(type='Concat', datasets=(dict(type='A'), dict(type='B')))), ['A', 'B']),
        (dict(type='Multi', dataset=[dict(type='A'), None]), ['A']),
    ],
)
def test_settings_give_those_without_others_in_them(settings, inside):
    assert [one['type'] for one in datasets_in(settings)] == inside
