"""Refuses ``--cfg-options`` that name a setting which nothing reads."""

import difflib
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Optional

import mmengine.registry
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmlgd.errors import ConfigError
from mmlgd.registry import find_class

_TOP = {'auto_scale_lr', 'custom_imports', 'runner_type'}  # read beside the parameters of the runner
# Settings that are taken out of a part before its class is called, by the setting at the top of the config.
_TAKEN_OUT = dict(
    model={'guide'},
    optim_wrapper={'constructor', 'paramwise_cfg'},
    param_scheduler={'convert_to_iter_based'},
    train_cfg={'by_epoch'},
)
_ANYWHERE = {'type', '_delete_', '_scope_'}
_LOADER = {'num_batch_per_epoch', *inspect.signature(DataLoader).parameters}


def check_keys(before: dict, after: dict, options: Iterable[str]) -> None:
    """Refuse an option whose setting is new and has no reader.

    A new setting is checked in two places: at the top of a config, where the runner reads the known ones, and in a part
    whose class takes no such argument. All others may be new: a dict without a ``type`` (the settings of inference, a
    table of hooks) is read by code that cannot be asked, and so is a class with ``**kwargs``.

    Args:
        before (dict): The config without the options.
        after (dict): The config with them: they may have changed the ``type`` of a part.
        options (Iterable[str]): Their keys, ``key.subkey`` or ``key.0.subkey``.

    Raises:
        ConfigError: Nothing would read the setting; the message has the nearest one.

    Examples:
        >>> check_keys(dict(model=dict()), dict(model=dict(), modle=dict()), ['modle.depth'])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: --cfg-options modle.depth: the config has no modle. Did you mean model? ...
    """
    for option in options:
        keys = option.split('.')
        if keys[0] not in before:
            _check_top(option, keys[0], before)
            continue
        scope = after.get('default_scope')
        old, new = before, after
        for depth, key in enumerate(keys):
            scope = new.get('_scope_', scope) if isinstance(new, dict) else scope
            if isinstance(old, dict) and key not in old:
                _check_part(option, keys[: depth + 1], new, scope)
            old, new = setting_at(old, key), setting_at(new, key)
            if not isinstance(old, (dict, list, tuple)) or new is None:
                break


def _check_top(option: str, key: str, before: dict) -> None:
    known = _TOP | {*before, *inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
    if key not in known:
        raise ConfigError(
            f'--cfg-options {option}: the config has no {key}.{nearest(key, known)} A run would not read it. A '
            f'setting for code of your own goes into a config file on top of this one (_base_ = ...).'
        )


def _check_part(option: str, keys: list[str], part: dict, scope: Optional[str]) -> None:
    *place, key = keys
    if key in _ANYWHERE | _TAKEN_OUT.get(place[0], set()) if place else set():
        return
    if len(place) == 1 and place[0].endswith('_dataloader') and 'type' not in part:
        owner, takes = place[0], [_LOADER]
    else:
        kind = part.get('type')
        takers = [kind] if inspect.isclass(kind) else _classes(kind, scope) if isinstance(kind, str) else []
        owner, takes = f'{".".join(place)}, a {takers[0].__name__},' if takers else '', list(map(_arguments, takers))
    if not takes or any(names is None or key in names for names in takes):
        return
    known = set().union(*takes)
    raise ConfigError(
        f'--cfg-options {option}: {owner} has no setting {key}.{nearest(key, known | set(part) - {key})} It takes '
        f'{", ".join(sorted(known - _ANYWHERE))}.'
    )


@cache
def _classes(kind: str, scope: Optional[str]) -> list[type]:
    """Find the classes of this name in all registries, as a build in this scope would."""
    find_class(kind, scope, mmengine.registry.MODELS)  # imports the registries of the library
    roots = [node for node in vars(mmengine.registry).values() if isinstance(node, Registry) and node.parent is None]
    # mmengine warns of registries in which the library has no part.
    asked = [root for root in roots if scope in (None, 'mmengine') or scope in root.children]
    found = dict.fromkeys(find_class(kind, scope, root) for root in asked)
    return [one for one in found if callable(one)]


def _arguments(taker: Any) -> Optional[set[str]]:
    """List the arguments of a class, with those that it hands on to its bases; None if it takes any."""
    names: set[str] = set()
    for init in _inits(taker):
        parameters = inspect.signature(init).parameters.values()
        names |= {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            return names - {'self'}
    return None


def _inits(taker: Any) -> Iterator[Any]:
    if not inspect.isclass(taker):
        yield taker
        return
    yield from (one.__init__ for one in taker.__mro__ if '__init__' in vars(one) and one is not object)


def setting_at(settings: Any, key: str) -> Any:
    """Find what a key of ``--cfg-options`` names in a dict, a list or a tuple; None if it is not there."""
    if isinstance(settings, (list, tuple)) and key.isdigit() and int(key) < len(settings):
        return settings[int(key)]
    return settings.get(key) if isinstance(settings, dict) else None


def nearest(key: str, known: set[str]) -> str:
    """Write a question after the name that was meant, to follow an error; empty if none is close."""
    close = difflib.get_close_matches(key, sorted(known), n=1)
    return f' Did you mean {close[0]}?' if close else ''
