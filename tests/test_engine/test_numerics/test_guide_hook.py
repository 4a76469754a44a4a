"""What the hook of a guide reads from a run."""

from types import SimpleNamespace

import pytest

from mmlgd.engine.numerics.guide_hook import _classes_of
from mmlgd.errors import ConfigError


def test_joined_sets_have_the_classes_that_all_of_them_have():
    """mmdetection's ConcatDataset has a list, if anything else in their METAINFO differs."""
    one, other = (dict(classes=('cat', 'dog'), palette=[k]) for k in range(2))
    assert _classes_of(SimpleNamespace(metainfo=[one, other])) == ('cat', 'dog')
    assert _classes_of(SimpleNamespace(metainfo=one)) == ('cat', 'dog')
    assert _classes_of(SimpleNamespace(metainfo=None)) is _classes_of(object()) is None
    with pytest.raises(ConfigError, match='joins sets of different classes.*Give all the same metainfo'):
        _classes_of(SimpleNamespace(metainfo=[one, dict(classes=('dog', 'cat'))]))
