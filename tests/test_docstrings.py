"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import mmlgd

MODULES = [m.name for m in pkgutil.walk_packages(mmlgd.__path__, 'mmlgd.')]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
