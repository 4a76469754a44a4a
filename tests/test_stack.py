import importlib.util
import subprocess
import sys
from configparser import ConfigParser

import pytest
from packaging.requirements import Requirement

from mmlgd import stack
from tests import ROOT


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


@pytest.mark.skipif(not (ROOT / 'setup.cfg').is_file(), reason='the tests do not lie in a source tree')
def test_conse_added_to_a_stack_leaves_its_transformers():
    """pip reads the extras of one command alone: `conse` by itself must not ask for what a stack refuses."""
    config = ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    asked = {
        extra: {one.name: one.specifier for one in map(Requirement, told.split('\n')[1:])}
        for extra, told in config['options.extras_require'].items()
        if extra in ('conse', 'openmmlab', 'onedl')
    }
    assert '6.0' not in asked['conse']['sentence-transformers']  # it asks for transformers 5
    for extra, newest in (('openmmlab', '4.51.3'), ('onedl', '4.57.6')):
        assert newest in asked[extra]['transformers'] and newest in asked['conse']['transformers']
        assert '5.0' not in asked[extra]['transformers'] and '5.0' not in asked['conse']['transformers']
