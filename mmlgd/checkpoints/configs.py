"""The config inside a checkpoint: untrusted text, read as data and checked before anything is built from it."""

import ast
import contextlib
import functools
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from mmcv.transforms import BaseTransform
from mmengine.config import ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope, Registry
from mmpretrain.registry import BATCH_AUGMENTS
from torch import nn

from mmlgd.errors import sentence, shown

from .files import CheckpointError, read_checkpoint


class _Part(NamedTuple):
    """A part of a model, or of the pipeline that prepares its images.

    Attributes:
        registries: The registries that build it; those of the libraries are their children.
        modules: The modules whose classes are allowed.
    """

    registries: tuple[Registry, ...]
    modules: tuple[str, ...]


# What a config from a checkpoint may contain. The libraries register much more: models that read files named in their
# settings, runners that create folders.
_PARTS = {
    'model': _Part((MODELS,), ('mmlgd.models.lgd',)),
    'backbone': _Part((MODELS,), tuple(f'{library}.models.backbones' for library in ('mmpretrain', 'mmdet', 'mmseg'))),
    'neck': _Part((MODELS,), ('mmlgd.models.necks', 'mmpretrain.models.necks')),
    'teacher': _Part((MODELS,), ('mmlgd.models.teachers', 'mmlgd.store.teacher')),
    'text': _Part((MODELS,), ('mmlgd.models.banks',)),
    'visual_bank': _Part((MODELS,), ('mmlgd.models.banks', 'mmlgd.models.queue')),
    'queue': _Part((MODELS,), ('mmlgd.models.queue',)),
    'place_queue': _Part((MODELS,), ('mmlgd.models.queue',)),
    'places': _Part((MODELS,), ('mmlgd.models.places',)),
    'loss': _Part((MODELS,), ('mmlgd.models.losses',)),
    'term': _Part((MODELS,), ('mmlgd.models.terms', 'mmlgd.models.bankless_terms')),
    'data_preprocessor': _Part(
        (MODELS,),
        (
            'mmlgd.models.preprocessor',
            'mmpretrain.models.utils.data_preprocessor',
            'mmengine.model.base_model',
            'mmdet.models.data_preprocessors',
            'mmseg.models.data_preprocessor',
        ),
    ),
    'augmentation': _Part((MODELS,), ('mmlgd.models.augmentation',)),
    'batch_augments': _Part(
        (BATCH_AUGMENTS, MODELS), ('mmpretrain.models.utils.batch_augments', 'mmdet.models.data_preprocessors')
    ),
    'layer': _Part(
        (MODELS,),
        (
            'torch.nn.modules',
            'mmengine.utils.dl_utils.parrots_wrapper',  # SyncBN
            'mmcv.cnn.bricks',
            'mmcv.ops',
            'mmpretrain.models.utils',
            'mmdet.models.layers',
            'mmseg.models.utils',
        ),
    ),
    'transform': _Part((TRANSFORMS,), ('mmcv.transforms', 'mmpretrain.datasets.transforms', 'mmlgd.datasets')),
}
_MODEL = ('backbone', 'neck', 'places', 'teacher', 'text', 'visual_bank', 'queue', 'place_queue', 'loss')
# Parts within parts, by their keys; anything else with a type inside a model is a layer.
_INNER = {
    'model': dict(zip(_MODEL, _MODEL)),
    'loss': dict(terms='term'),
    'backbone': dict(backbone_cfg='backbone'),
    'data_preprocessor': dict(augmentation='augmentation', batch_augments='batch_augments'),
}
_INNER['model']['data_preprocessor'] = 'data_preprocessor'
_LIKE_ITSELF = ('teacher', 'text', 'transform', 'batch_augments')
_NAMING_FILES = ('model', 'teacher', 'text')  # weights of a teacher, names of classes
# These read files that their settings name, or derive from a backbone that does.
_READING = ('mmseg.models.backbones.vpd', 'mmpretrain.models.multimodal', 'mmpretrain.models.utils.vector_quantizer')
# A class of any other package belongs to the user's own program.
_LIBRARIES = {*MODULE2PACKAGE, 'mmengine', 'torch', 'torchvision', 'timm', 'transformers', 'albumentations', 'builtins'}
# Settings that say where weights and images come from. Here, the checkpoint gives the weights, the caller the images.
_SOURCES = ('init_cfg', 'pretrained', 'checkpoint_path', 'pretrained_cfg', 'backend_args', 'file_client_args')
# Settings that say where to write; this machine has its own places.
_WRITTEN = ('cache_dir',)
_LONGEST, _DEEPEST = 1_000_000, 50  # limits of a config: characters, and levels of nesting
_COUNTED, _MOST_NUMBERS = 2**16, 1_000  # number keys: below the first they are not limited, of larger ones 1,000
_LARGEST = 1 << 20  # limit of a layer's setting: the library creates lists of this length before the layers
_FILE = re.compile(r'^[/~.]|\.\.|[\\:]|\.(ya?ml|json|txt|py|pkl|pickle|pth|pt|bin|np[yz]|safetensors)$', re.IGNORECASE)
_CODE = re.compile(r'\.(py|pkl|pickle|ya?ml)$', re.IGNORECASE)


def model_config(checkpoint: dict, source: Union[str, Path] = 'The checkpoint') -> ConfigDict:
    """Read the config that mmengine keeps in a checkpoint, as data: how the model was built.

    Args:
        checkpoint (dict): Of :func:`~mmlgd.checkpoints.read_checkpoint`.
        source (str | Path): Where it comes from, for the error.

    Returns:
        ConfigDict: The config's settings, including ``model`` with its ``backbone``. Pass a part through
        :func:`buildable` before building it.

    Raises:
        CheckpointError: It holds no config, or the config contains anything but literals.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(
            f'{source} does not say how its model was built (no meta.cfg). Give the config that it was trained with.'
        )
    if len(text) > _LONGEST:  # the parser needs about 300 bytes of memory for each character
        raise CheckpointError(
            f'The config in {source} is a text of {len(text):,} characters; up to {_LONGEST:,} are read, and the '
            f'config of a run has less than 100,000. Give the config that it was trained with.'
        )
    try:
        settings = dict(_setting(node) for node in ast.parse(text).body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise _no_settings(source, error) from error
    model = settings.get('model')
    if not isinstance(model, dict):
        raise CheckpointError(f'The config in {source} has no model. Is it a checkpoint of training?')
    for part in ('backbone', 'neck', 'teacher', 'loss', 'data_preprocessor'):
        if not isinstance(model.get(part, {}), (dict, type(None))):
            raise CheckpointError(
                f'The config in {source} has a {type(model[part]).__name__} as model.{part}, expected a dict.'
            )
    _check_scope(settings.get('default_scope', 'mmpretrain'), source)
    try:
        return ConfigDict(settings)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:  # names that Python cannot have
        raise _no_settings(source, error) from error


def config_in(source: str) -> Optional[ConfigDict]:
    """Read the config in a source of weights, if it is a checkpoint that has one.

    Args:
        source (str): A file or URL, or a name that only the library of its model understands.

    Returns:
        ConfigDict, optional: As :func:`model_config`; None for other sources, also for a file that cannot be read:
        loading reports its faults.
    """
    if not os.path.isfile(os.path.expanduser(source)) and not source.startswith(('http://', 'https://')):
        return None
    try:
        return model_config(read_checkpoint(source), source)
    except CheckpointError:
        return None


def _no_settings(source: Union[str, Path], error: Exception) -> CheckpointError:
    return CheckpointError(f'The config in {source} is not plain settings: {sentence(error)}')


def buildable(settings: Any, part: str, source: Union[str, Path] = 'The checkpoint') -> Any:
    """Keep the settings from a checkpoint that rebuild a part, and refuse those that would do more.

    mmengine takes any dotted name as a ``type`` and calls it, also ``'os.system'``. Classes of the libraries read
    files, addresses and folders that their settings name. A config file is code and may do so; a config that comes
    with weights may not.

    Args:
        settings (Any): A part of :func:`model_config`, about to be built.
        part (str): Its kind: ``'backbone'``, ``'neck'``, ``'teacher'``, ``'data_preprocessor'``, ``'transform'`` (or a
            list of these) or ``'model'``, the whole model.
        source (str | Path): Where the checkpoint comes from, for the error.

    Returns:
        Any: A copy, without the settings that say where initial weights, images or a cache are.

    Raises:
        CheckpointError: A type is not such a part, or a setting would run code or read a file; the message names it.

    Examples:
        >>> buildable(dict(type='mmpretrain.ResNet', depth=18, init_cfg=dict(type='Pretrained')), 'backbone')
        {'type': 'mmpretrain.ResNet', 'depth': 18}
    """
    current = DefaultScope.get_current_instance()
    scopes = {'mmengine', 'mmpretrain', 'mmlgd', *([current.scope_name] if current else [])}
    return _taken(None, settings, part, source, frozenset(scopes))


def _taken(key: Any, value: Any, part: str, source: Union[str, Path], scopes: frozenset) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_taken(key, one, part, source, scopes) for one in value)
    if not isinstance(value, dict):
        _check_value(key, value, part, source)
        return value
    if '_scope_' in value:
        _check_scope(value['_scope_'], source)
        scopes = scopes | {value['_scope_']}
    taken = {}
    for key, one in value.items():
        if key == 'type' or key == 'norm_layer' and one is not None:  # TIMMBackbone looks the latter up as a type
            classes = _classes(one, part if key == 'type' else 'layer', source, scopes)
            if any(cls.__name__ == 'TIMMBackbone' for cls in classes):  # mmseg's would download weights
                taken['pretrained'] = False
            taken[key] = one
        elif key not in _WRITTEN and (part in _NAMING_FILES or key not in _SOURCES):
            inner = _INNER.get(part, {}).get(key, part if part in _LIKE_ITSELF else 'layer')
            taken[key] = _taken(key, one, inner, source, scopes)
    return taken


def _check_value(key: Any, value: Any, part: str, source: Union[str, Path]) -> None:
    if part in ('backbone', 'neck', 'layer') and type(value) is int and abs(value) > _LARGEST:
        raise CheckpointError(
            f'{source} has a layer whose {shown(key)} is above {_LARGEST:,}; no real model has such a layer. Give the '
            f'unchanged file that the run has written, or build the model from your own config file.'
        )
    refused = key == 'trust_remote_code' and value is not False
    refused |= key == 'dtype' and isinstance(value, str) and not re.fullmatch(r'[\w.]+', value)  # evaluated
    if isinstance(value, str) and key != '_scope_':
        refused |= bool(_CODE.search(value)) if part in _NAMING_FILES else _names_a_file(value)
    if refused:
        raise CheckpointError(
            f'{source} has the setting {key}={value!r}, which would run code that is not part of mmlgd, or looks like '
            f'a path or an address. A checkpoint may have neither: build the model from your own config file.'
        )


def _names_a_file(value: str) -> bool:
    """A slash alone does not name a file: ConvMixer has arch='768/32'."""
    return bool(_FILE.search(value)) or ('/' in value and os.path.exists(value))


def _check_scope(scope: Any, source: Union[str, Path]) -> None:
    """Refuse an unknown scope: mmengine imports whatever it names."""
    known = {*MODULE2PACKAGE, *(registry.scope for registry in _with_children(MODELS))}
    if not isinstance(scope, str) or scope not in known:
        raise CheckpointError(
            f'The config in {source} has the scope {scope!r}; known scopes are {", ".join(sorted(known))}.'
        )


def _classes(name: Any, part: str, source: Union[str, Path], scopes: frozenset) -> list[type]:
    """Find the classes that a type may resolve to; all of them have to be allowed for the part."""
    found = _registered(name, part, scopes) if isinstance(name, str) else []
    if not found or not all(_is_a(one, part) for one in found):
        raise CheckpointError(
            f'{source} names {name!r} as its {part}; no installed library has such a {part}, so it is not called. If '
            f'it belongs to a package of yours, import that first; if not, do not trust this file.'
        )
    return found


def _is_a(one: Any, part: str) -> bool:
    if not inspect.isclass(one) or one.__module__.startswith(_READING):
        return False
    if one.__module__.split('.')[0] not in _LIBRARIES:
        return issubclass(one, BaseTransform if part == 'transform' else nn.Module)
    # Self-supervised methods have backbones of their own, which derive from these.
    family = one.__mro__ if part == 'backbone' else (one,)
    return any(_is_below(base.__module__, _PARTS[part].modules) for base in family)


def _is_below(module: str, parents: tuple[str, ...]) -> bool:
    return any(module == parent or module.startswith(f'{parent}.') for parent in parents)


def _registered(name: str, part: str, scopes: frozenset) -> list:
    scope, _, rest = name.partition('.')
    if scope in MODULE2PACKAGE:  # imports a library at its first use, and no other module of that name
        with contextlib.suppress(ImportError, AssertionError):
            import_module(f'{scope}.registry')
    # The path of a class, as a lazy config writes it; looked up, not imported.
    module, _, attribute = name.rpartition('.')
    by_path = getattr(sys.modules.get(module), attribute, None)
    found = []
    for registry in (node for root in _PARTS[part].registries for node in _with_children(root)):
        registered = registry.module_dict
        if rest and registry.scope == scope:
            found.append(registered.get(rest))
        elif registry.scope in scopes:
            found.append(registered.get(name))
        if inspect.isclass(by_path) and by_path in registered.values():
            found.append(by_path)
    return [one.func if isinstance(one, functools.partial) else one for one in found if one is not None]


def _with_children(registry: Registry) -> Iterator[Registry]:
    registry.import_from_location()
    yield registry
    for child in list(registry.children.values()):
        yield from _with_children(child)


def _setting(node: ast.AST) -> tuple[str, Any]:
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
        raise ValueError(f'line {node.lineno} is not of the form NAME = VALUE')
    return node.targets[0].id, _literal(node.value)


def _literal(node: ast.AST, depth: int = 0):
    """Evaluate dicts, lists, tuples and constants; no name is looked up and nothing is called."""
    if depth > _DEEPEST:
        raise ValueError(f'line {node.lineno} is nested deeper than {_DEEPEST} levels')
    inner = functools.partial(_literal, depth=depth + 1)
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict' and not node.args:
        return {keyword.arg: inner(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return dict(zip(_keys(node, map(inner, node.keys)), map(inner, node.values)))
    if isinstance(node, ast.Set):
        return set(_keys(node, map(inner, node.elts)))
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [inner(item) for item in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)


def _keys(node: ast.AST, keys: Iterable) -> list:
    """Refuse many keys that are numbers: a file's author can choose numbers that make a dict quadratically slow."""
    keys = list(keys)
    if sum(not (isinstance(key, str) or type(key) is int and abs(key) < _COUNTED) for key in keys) > _MOST_NUMBERS:
        raise ValueError(f'line {node.lineno} has more than {_MOST_NUMBERS} keys that are not strings')
    return keys
