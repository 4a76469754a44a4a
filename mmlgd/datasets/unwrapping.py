"""The data sets inside those that repeat, balance or join others: of a built one, and of the settings of one."""

from collections.abc import Iterator
from typing import Any


def plain_datasets(dataset: Any) -> Iterator[Any]:
    """Unwrap a built data set.

    Args:
        dataset (Any): A data set of any library, or None.

    Yields:
        Any: The data sets inside that have METAINFO, or the same.
    """
    if hasattr(dataset, 'datasets'):
        for member in dataset.datasets:
            yield from plain_datasets(member)
    elif hasattr(dataset, 'dataset'):
        yield from plain_datasets(dataset.dataset)
    elif hasattr(dataset, 'metainfo'):
        yield dataset


def datasets_in(settings: Any) -> Iterator[dict]:
    """Unwrap the settings of a data set.

    Args:
        settings (Any): Of a data set.

    Yields:
        dict: The settings of the data sets inside, or the same.

    Examples:
        >>> [one['type'] for one in datasets_in(dict(type='ConcatDataset', datasets=[dict(type='A'), dict(type='B')]))]
        ['A', 'B']
    """
    if isinstance(settings, dict):
        inner = settings.get('datasets') or settings.get('dataset')
        if inner is None:
            yield settings
        for one in inner if isinstance(inner, (list, tuple)) else [inner]:
            yield from datasets_in(one)
