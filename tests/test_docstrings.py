"""The examples in the docstrings run."""

import contextlib
import doctest
import importlib
import pkgutil

import pytest
from mmengine.logging import MMLogger
from yapf.yapflib import yapf_api

import mmlgd
from tests.quick import lay_out, set_layout

# The fork's packages print a line when they are first imported, which no example expects.
for _library in ('mmdet.datasets', 'mmseg.datasets'):
    with contextlib.suppress(ImportError):
        importlib.import_module(_library)


@pytest.fixture(autouse=True)
def laid_out():
    """As readers see a config's text."""
    laid = yapf_api.FormatCode
    set_layout(lay_out)
    yield
    set_layout(laid)


MODULES = [m.name for m in pkgutil.walk_packages(mmlgd.__path__, 'mmlgd.')]


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')  # log lines go to standard output, which no example expects
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    logger.setLevel(level)
    assert result.failed == 0
