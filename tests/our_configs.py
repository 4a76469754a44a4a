"""Our configs, each read once in a test process: file after file, a read takes as long as many tests."""

import copy
from functools import cache

from mmengine.config import Config


@cache
def _read(path):
    return Config.fromfile(path)


def config_of(path):
    """A config of ours, to be changed at will."""
    return copy.deepcopy(_read(path))
