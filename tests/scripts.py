"""Scripts of ``tools/``, loaded as modules."""

import importlib.util

from tests import ROOT


def script(name):
    """Load ``tools/NAME.py``, anew each time."""
    spec = importlib.util.spec_from_file_location(f'tools.{name.replace("/", ".")}', ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
