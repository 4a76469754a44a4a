"""Rooms and floors: imports run down, in no circle, and nothing of the package stands on its tools."""

import ast
from graphlib import TopologicalSorter

import pytest

import mmlgd
from tests import ROOT

# From the ground up; a room imports from those before it. What stands in one line has no room of its own.
FLOORS = [
    'version stack errors registry',
    'utils',
    'checkpoints',
    'text',
    'datasets',
    'models',
    'store',
    'student',
    'engine',
    'evaluation',
    'figures',
    'converters',
    'run',
    'studies',
    'pages',
    'benchmarks',
    'demo',
    'cli',
]
ROOM = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
MODULES = sorted((ROOT / 'mmlgd').rglob('*.py'))


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


NAMES = {name_of(path) for path in MODULES}


def imports(path):
    """Modules of ours that a module imports, wherever in it."""
    package = name_of(path).split('.') if path.stem == '__init__' else name_of(path).split('.')[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split('.')[0] in ('mmlgd', 'tools'))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            if module.split('.')[0] in ('mmlgd', 'tools'):
                inner = [f'{module}.{alias.name}' for alias in node.names]
                yield from (one if one in NAMES else module for one in inner)


@pytest.mark.parametrize('path', MODULES, ids=name_of)
def test_imports_run_down(path):
    own = name_of(path).split('.')
    if len(own) == 1:  # the face, which loads the rooms at their first use
        return
    higher = [name for name in imports(path) if ROOM[name.split('.')[1] if '.' in name else 'cli'] > ROOM[own[1]]]
    assert not higher


def test_there_is_no_circle():
    graph = {name_of(path): set(imports(path)) - {name_of(path)} for path in MODULES}
    for name, targets in graph.items():  # a face of a room imports the room
        graph[name] = {target for target in targets if not name.startswith(f'{target}.')}
    TopologicalSorter(graph).prepare()


def test_the_face_has_all_rooms():
    rooms = {path.parent.name for path in (ROOT / 'mmlgd').glob('*/__init__.py')}
    assert rooms == set(mmlgd._ROOMS) and rooms <= set(dir(mmlgd))


def test_nothing_touches_the_path_of_modules():
    words = ('sys.' + 'path', 'syspath' + '_prepend')
    files = [path for folder in ('mmlgd', 'tools', 'tests', 'examples') for path in (ROOT / folder).rglob('*.py')]
    assert not [path for path in files if any(word in path.read_text() for word in words)]
