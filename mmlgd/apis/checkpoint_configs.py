"""The config inside a checkpoint: somebody else's text, read as data, and checked before anything is built from it."""

import ast
import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Union

import mmengine.registry
import mmpretrain.registry
from mmengine.config import ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

from mmlgd.checkpoint_files import CheckpointError

# Classes of mmpretrain that unpickle files which their settings name.
_UNPICKLING = ('mmpretrain.models.multimodal', 'mmpretrain.models.retrievers')


def model_config(checkpoint: dict, source: Union[str, Path] = 'The checkpoint') -> ConfigDict:
    """Read how the model was built from the config that mmengine keeps in a checkpoint, as data.

    Args:
        checkpoint (dict): Of :func:`~mmlgd.apis.read_checkpoint`.
        source (str | Path): Where it is from, for the error.

    Returns:
        ConfigDict: The config's settings, ``model`` with its ``backbone`` among them. What is built from it goes
        through :func:`buildable` first.

    Raises:
        CheckpointError: It holds no config, or one with anything but literals in it.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f'{source} does not say how its model was built (no meta.cfg). Give the config that it was trained with.'
        )
    try:
        settings = dict(_setting(node) for node in ast.parse(text).body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise CheckpointError(f'The config in {source} is not plain settings: {error}.') from error
    model = settings.get('model')
    if not isinstance(model, dict):
        raise CheckpointError(f'The config in {source} has no model. Is it a checkpoint of training?')
    for part in ('backbone', 'neck', 'teacher', 'loss', 'data_preprocessor'):
        if not isinstance(model.get(part, {}), (dict, type(None))):
            raise CheckpointError(f'The config in {source} has a {type(model[part]).__name__} as model.{part}.')
    _check_scope(settings.get('default_scope', 'mmpretrain'), source)
    try:
        return ConfigDict(settings)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:  # names that no Python could have
        raise CheckpointError(f'The config in {source} is not plain settings: {error}.') from error


def buildable(settings: Any, source: Union[str, Path] = 'The checkpoint') -> Any:
    """Refuse settings out of a checkpoint that would run more than the classes which the libraries register.

    mmengine takes any dotted name as a ``type`` and calls it, ``'os.system'`` too. A config file is code, and may; what
    comes along with weights is not.

    Args:
        settings (Any): A part of :func:`model_config`, about to be built.
        source (str | Path): Where it is from, for the error.

    Returns:
        Any: The same settings.

    Raises:
        CheckpointError: A type that is not registered, or a setting that would run code; the message names it.
    """
    for key, value in _items(settings):
        if key == '_scope_':
            _check_scope(value, source)
        if key == 'type' and not _is_registered_class(value):
            raise CheckpointError(
                f'{source} asks for a {value!r} to be built, which is no class that the installed libraries register: '
                f'it is not called. If it is of a package of yours, import that first; if not, trust this file no '
                f'further.'
            )
        runs_code = key == 'trust_remote_code' and value is not False
        runs_code |= key == 'dtype' and isinstance(value, str) and not re.fullmatch(r'[\w.]+', value)  # evaluated
        runs_code |= isinstance(value, str) and value.lower().endswith(('.py', '.pkl', '.pickle'))
        if runs_code:
            raise CheckpointError(
                f'{source} has the setting {key}={value!r}, which would run code that is not part of mmlgd. It is '
                f'refused: build the model from a config file of yours.'
            )
    return settings


def _check_scope(scope: Any, source: Union[str, Path]) -> None:
    """Refuse a scope that is none: mmengine imports whatever it names."""
    known = {*MODULE2PACKAGE, *(registry.scope for registry in _registries())}
    if not isinstance(scope, str) or scope not in known:
        raise CheckpointError(f'The config in {source} has the scope {scope!r}; known are {", ".join(sorted(known))}.')


def _items(settings: Any) -> Iterator[tuple[Any, Any]]:
    """Walk through all keys and values; what is in a list has the key None."""
    if isinstance(settings, dict):
        pairs = list(settings.items())
    elif isinstance(settings, (list, tuple)):
        pairs = [(None, value) for value in settings]
    else:
        return
    for key, value in pairs:
        yield key, value
        yield from _items(value)


def _is_registered_class(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    module, _, attribute = name.rpartition('.')
    scope, _, rest = name.partition('.')
    if scope in MODULE2PACKAGE:  # a library is imported when it is first asked for, and no other module by such a name
        with contextlib.suppress(ImportError, AssertionError):
            import_module(f'{scope}.registry')
    # As a lazy config writes it, by the path of its class; looked up, not imported.
    by_path = getattr(sys.modules.get(module), attribute, None)
    for registry in _registries():
        registered = registry.module_dict
        one = registered.get(rest if rest and registry.scope == scope else name)
        if one is None and inspect.isclass(by_path) and by_path in registered.values():
            one = by_path
        one = one.func if isinstance(one, functools.partial) else one
        if inspect.isclass(one) and not one.__module__.startswith(_UNPICKLING):
            return True
    return False


def _registries() -> Iterator[Registry]:
    """All of mmengine's and mmpretrain's, with those of other libraries below them."""
    for registry in [*vars(mmengine.registry).values(), *vars(mmpretrain.registry).values()]:
        if isinstance(registry, Registry):
            yield from _with_children(registry)


def _with_children(registry: Registry) -> Iterator[Registry]:
    registry.import_from_location()
    yield registry
    for child in list(registry.children.values()):
        yield from _with_children(child)


def _setting(node: ast.AST) -> tuple[str, Any]:
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
        raise ValueError(f'line {node.lineno} is more than NAME = VALUE')
    return node.targets[0].id, _literal(node.value)


def _literal(node: ast.AST):
    """Evaluate dicts, lists, tuples and constants; no name is looked up and nothing is called."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict' and not node.args:
        return {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(item) for item in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)
