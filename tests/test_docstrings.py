"""The examples in the docstrings run."""

import contextlib
import doctest
import importlib
import pkgutil

import pytest
from mmengine.logging import MMLogger

import mmlgd

# The fork's packages print a line when they are first imported, which no example expects.
for _library in ('mmdet.datasets', 'mmseg.datasets'):
    with contextlib.suppress(ImportError):
        importlib.import_module(_library)

MODULES = [m.name for m in pkgutil.walk_packages(mmlgd.__path__, 'mmlgd.')]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')  # log lines go to standard output, which no example expects
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    logger.setLevel(level)
    assert result.failed == 0
