import importlib.util
import subprocess
import sys

import pytest

from mmlgd import stack


def test_the_installed_stack_is_accepted():
    stack.check_stack()


@pytest.mark.parametrize('module', list(stack.RANGES))
def test_a_version_outside_the_range_names_the_fix(module, monkeypatch):
    for version in ('0.0.1', '99.0'):
        monkeypatch.setattr(f'{module}.__version__', version)
        with pytest.raises(ImportError, match=rf'(?s){module}>=.*{version}.*mmlgd\[openmmlab\].*mmlgd\[onedl\]'):
            stack.check_stack()


def test_a_missing_package_names_the_fix(monkeypatch):
    monkeypatch.setattr(
        stack, 'find_spec', lambda name: None if name == 'mmpretrain' else importlib.util.find_spec(name)
    )
    with pytest.raises(ImportError, match=r'mmpretrain>=.* not installed.*pip install'):
        stack.check_stack()


@pytest.mark.parametrize(
    'use',
    [
        'mmlgd.LGD',
        'mmlgd.models',
        'import mmengine.registry; mmengine.registry.MODELS.get("mmlgd.LGD")',
    ],
)
def test_a_wrong_stack_is_named_at_the_first_use(use):
    code = f'import mmengine; mmengine.__version__ = "0.1.0"; import mmlgd; {use}'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert run.returncode and 'ImportError: mmlgd needs mmengine>=' in run.stderr
