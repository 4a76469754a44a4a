"""A config that is read by the package's name builds the same parts as the config that is read from its path."""

import importlib.util

import mmengine.registry as roots
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmlgd.registry import find_class
from tests import ROOT
from tests.our_configs import config_of

CONFIGS = ROOT / 'configs'
WHOLE = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg')
REGISTRIES = [node for node in vars(roots).values() if isinstance(node, Registry) and node.parent is None]


@pytest.fixture(scope='module')
def classes():
    """Find the classes of a type in a scope, in every registry; the answers are kept, as thousands are asked for."""
    known = {}

    def of(kind, scope, run):
        if (kind, scope, run) not in known:
            with DefaultScope.overwrite_default_scope(run):
                known[kind, scope, run] = [find_class(kind, scope, node) for node in REGISTRIES]
        return known[kind, scope, run]

    return of


def parts(settings, scope, place=''):
    """Walk through the parts of a config: their place, type and scope. Outer scopes hold for inner parts."""
    if isinstance(settings, dict):
        scope = settings.get('_scope_') or scope
        if isinstance(settings.get('type'), str):
            yield place, settings['type'], scope
        inner = settings.items()
    else:
        inner = enumerate(settings) if isinstance(settings, (list, tuple)) else ()
    for key, value in inner:
        yield from parts(value, scope, f'{place}.{key}')


@pytest.mark.parametrize('path', WHOLE, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_a_config_by_the_packages_name_has_the_parts_of_its_path(path, tmp_path, classes):
    for library in LIBRARIES:
        if f"'{library}::" in path.read_text():
            pytest.importorskip(library)
    by_path = config_of(path)
    if importlib.util.find_spec(by_path.default_scope) is None:
        pytest.skip(f'{by_path.default_scope} is not installed')
    mine = tmp_path / 'mine.py'
    mine.write_text(f"_base_ = 'mmlgd::{path.relative_to(CONFIGS).as_posix()}'\n")
    by_name = Config.fromfile(mine)
    run = by_path.default_scope
    wanted, got = (
        {place: classes(*part, run) for place, *part in parts(cfg.to_dict(), run)} for cfg in (by_path, by_name)
    )
    assert wanted.keys() == got.keys() and any(wanted['.model'])
    different = [place for place, found in wanted.items() if got[place] != found]
    assert not different
