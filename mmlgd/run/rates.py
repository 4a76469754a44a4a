"""Optimizers, learning rates of parts of a model, and schedules that would override them."""

from collections.abc import Iterator
from typing import Any, Optional

from mmengine import registry as root
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.registry import find_class
from mmlgd.utils.configs import kind_of
from mmlgd.utils.option_keys import nearest
from mmlgd.utils.validation import require

# Settings of paramwise_cfg that give parameters a rate of their own; *decay_rate lowers it layer by layer.
_RATES = ('lr_mult', 'decay_rate')
# Settings of a schedule that are a lowest rate of all parameters, whatever their multipliers.
_FLOORS = ('eta_min', 'min_value')
_LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg')


def refuse_unknown_optimizer(cfg: Config) -> None:
    """Refuse an optimizer that is not registered, of which mmengine only says that None is not a callable object.

    Args:
        cfg (Config): The complete config of a run. What a constructor of its own makes of a name is not known.

    Raises:
        ConfigError: There is no such optimizer; the message has the nearest one.

    Examples:
        >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='AdmW'))))
        >>> refuse_unknown_optimizer(cfg)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: optim_wrapper.optimizer.type is AdmW, ... Did you mean AdamW? ...
    """
    wrapper, scope = cfg.get('optim_wrapper') or {}, cfg.get('default_scope') or 'mmengine'  # the runner's default
    optimizer = wrapper.get('optimizer')
    kind = optimizer.get('type') if isinstance(optimizer, dict) else None
    if 'constructor' in wrapper or not isinstance(kind, str) or find_class(kind, scope, root.OPTIMIZERS):
        return
    others = root.OPTIMIZERS.children
    libraries = [*dict.fromkeys([*_LIBRARIES, *others])]  # some may not be imported yet
    if there := [name for name in libraries if find_class(f'{name}.{kind}', scope, root.OPTIMIZERS)]:
        cure = f' Another library has one: write {there[0]}.{kind}.'
    else:
        known = {*root.OPTIMIZERS.module_dict, *(others[scope].module_dict if scope in others else ())}
        cure = f'{nearest(kind, known)} One of your own needs its module in custom_imports.'
    raise ConfigError(f'optim_wrapper.optimizer.type is {kind}, and no optimizer of this name is registered.{cure}')


def refuse_overridden_rates(cfg: Config) -> None:
    """Refuse a schedule that gives all parameters one rate in a config that gives some of them another.

    mmengine's ``OneCycleLR`` sets the rate of each parameter from ``eta_max``: the multipliers of ``paramwise_cfg``
    would be lost without a word, and a backbone at 0.1 or 0 times the rate would learn at the full rate. ``eta_min`` of
    other schedules is the last rate of all parameters: where it is above the rate of a part, that part's rate would
    rise to it. Each optimizer of a model with several is compared with its own schedules.

    Args:
        cfg (Config): The complete config of a run.

    Raises:
        ConfigError: It has both; the message names them, and what to do instead.

    Examples:
        >>> schedule = [dict(type='OneCycleLR', eta_max=0.002, total_steps=300, by_epoch=False)]
        >>> groups = dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
        >>> refuse_overridden_rates(Config(dict(param_scheduler=schedule)))
        >>> cfg = Config(dict(param_scheduler=schedule, optim_wrapper=dict(paramwise_cfg=groups)))
        >>> refuse_overridden_rates(cfg)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult is 0.1, but OneCycleLR ...
    """
    for place, wrapper, schedules in _optimizers(cfg):
        own = {
            key: value
            for key, value in _settings(wrapper.get('paramwise_cfg'), f'{place}.paramwise_cfg')
            if (key.endswith(_RATES) and value != 1) or key.endswith('.lr')
        }
        full = (wrapper.get('optimizer') or {}).get('lr')
        for where, schedule in schedules:
            for key, value in own.items():
                _refuse_one_rate(key, value, schedule)
                if not _is_frozen(key, value, cfg):
                    _refuse_floor(key, value, full, where, schedule)


def refuse_empty_schedules(cfg: Config) -> None:
    """Refuse a schedule that ends before it begins, as after a run was made shorter than its warm-up.

    Args:
        cfg (Config): The complete config of a run.

    Raises:
        ConfigError: The message names the schedule, and what to change.

    Examples:
        >>> warm_up, rest = dict(type='LinearLR', begin=0, end=50), dict(type='CosineAnnealingLR', begin=50, end=20)
        >>> refuse_empty_schedules(Config(dict(param_scheduler=[warm_up, rest])))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: param_scheduler.1, a CosineAnnealingLR, begins at 50 and ends at 20: ...
    """
    for place, schedule in rate_schedules(cfg):
        begin, end = schedule.get('begin', 0), schedule.get('end')
        if isinstance(begin, int) and isinstance(end, int) and end <= begin:
            raise ConfigError(
                f'{place}, a {kind_of(schedule)}, begins at {begin} and ends at {end}: the training is not longer than '
                f'the schedule before it, such as a warm-up. Make it longer, for example iterations={2 * begin}; or '
                f'change param_scheduler, too.'
            )


def rate_schedules(cfg: Config) -> Iterator[tuple[str, dict]]:
    """List the schedules of learning rates of a config, of one optimizer or of several.

    Args:
        cfg (Config): The complete config of a run.

    Yields:
        Tuple[str, dict]: The place of each in the config, as ``--cfg-options`` write it, and its settings.

    Examples:
        >>> [place for place, _ in rate_schedules(Config(dict(param_scheduler=[dict(type='StepLR', step_size=1)])))]
        ['param_scheduler.0']
    """
    yield from _rate_schedules(cfg.get('param_scheduler'), 'param_scheduler')


def _rate_schedules(value: Any, place: str) -> Iterator[tuple[str, dict]]:
    if isinstance(value, dict) and 'type' in value:
        if value.get('param_name', 'lr') == 'lr' and 'Momentum' not in kind_of(value):
            yield place, value
    else:
        keys = value.items() if isinstance(value, dict) else enumerate(value or ())
        for key, inner in keys:
            yield from _rate_schedules(inner, f'{place}.{key}')


def _optimizers(cfg: Config) -> Iterator[tuple[str, dict, list[tuple[str, dict]]]]:
    """List the optimizers with their place and their schedules, paired as mmengine's runner pairs them."""
    wrapper, schedulers = cfg.get('optim_wrapper') or {}, cfg.get('param_scheduler')
    if 'optimizer' in wrapper or 'paramwise_cfg' in wrapper:
        yield 'optim_wrapper', wrapper, list(rate_schedules(cfg))
        return
    by_name = isinstance(schedulers, dict) and 'type' not in schedulers
    for name, each in wrapper.items():
        if isinstance(each, dict):
            own = _rate_schedules(schedulers.get(name), f'param_scheduler.{name}') if by_name else rate_schedules(cfg)
            yield f'optim_wrapper.{name}', each, list(own)


def _refuse_one_rate(key: str, value: Any, schedule: dict) -> None:
    require(
        not kind_of(schedule).startswith('OneCycle'),
        f'{key} is {value}, but OneCycleLR of this config gives all parameters the same rate, from its eta_max: '
        f'the multiplier would have no effect. Use schedules that scale the rates of all groups: LinearLR for the '
        f'warm-up, then CosineAnnealingLR, with the largest rate as optim_wrapper.optimizer.lr, as in '
        f'configs/small/_base_/fine_tuning.py.',
    )


def _refuse_floor(key: str, value: Any, full: Any, where: str, schedule: dict) -> None:
    rate = _rate(key, value, full)
    for name in _FLOORS:
        floor = schedule.get(name)
        if rate is not None and isinstance(floor, (int, float)) and rate < floor:
            ratio = ', or give eta_min_ratio instead' if kind_of(schedule).startswith('Cosine') else ''
            raise ConfigError(
                f'{key} is {value}, a rate of {rate:g}, but {kind_of(schedule)} of this config ends all rates at '
                f'{name}={floor}: this one would rise to it. Set {where}.{name}=0{ratio}. To freeze a backbone, set '
                f'its lr_mult to 0 and add default_hooks.frozen.type=mmlgd.FrozenBackboneHook.'
            )


def _rate(key: str, value: Any, full: Any) -> Optional[float]:
    """Compute the rate that a setting gives its parameters; None if it takes the model to know it."""
    if key.endswith('decay_rate') or not isinstance(value, (int, float)):
        return None
    if key.endswith('.lr') or value == 0:
        return float(value)
    return full * value if isinstance(full, (int, float)) else None


def keeps_backbones(cfg: Config) -> bool:
    """Tell whether a hook keeps a backbone without a rate as it is: without gradients, no schedule moves it.

    Args:
        cfg (Config): Of a run.

    Returns:
        bool: Whether it has :class:`mmlgd.FrozenBackboneHook`.
    """
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    return any(isinstance(hook, dict) and kind_of(hook) == 'FrozenBackboneHook' for hook in hooks)


def _is_frozen(key: str, value: Any, cfg: Config) -> bool:
    return value == 0 and key.endswith('.custom_keys.backbone.lr_mult') and keeps_backbones(cfg)


def _settings(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """List the settings inside dicts and lists, with the place of each."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _settings(inner, f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _settings(inner, f'{place}.{index}')
    else:
        yield place, value
