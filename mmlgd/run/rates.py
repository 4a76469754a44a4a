"""Learning rates of parts of a model, and schedules that would override them."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmlgd.utils.validation import require

# Settings of paramwise_cfg that give parameters a rate of their own; *decay_rate lowers it layer by layer.
_RATES = ('lr_mult', 'decay_rate')


def refuse_overridden_rates(cfg: Config) -> None:
    """Refuse a schedule that gives all parameters one rate in a config that gives some of them another.

    mmengine's ``OneCycleLR`` sets the rate of each parameter from ``eta_max``. The multipliers of ``paramwise_cfg``
    would be lost without a word: a backbone at 0.1 or 0 times the rate would learn at the full rate.

    Args:
        cfg (Config): The complete config of a run.

    Raises:
        ConfigError: It has both; the message names them, and the schedules to use instead.

    Examples:
        >>> schedule = [dict(type='OneCycleLR', eta_max=0.002, total_steps=300, by_epoch=False)]
        >>> groups = dict(custom_keys=dict(backbone=dict(lr_mult=0.1)))
        >>> refuse_overridden_rates(Config(dict(param_scheduler=schedule)))
        >>> cfg = Config(dict(param_scheduler=schedule, optim_wrapper=dict(paramwise_cfg=groups)))
        >>> refuse_overridden_rates(cfg)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult is 0.1, but OneCycleLR ...
    """
    schedules = dict(_settings(cfg.get('param_scheduler'), 'param_scheduler'))
    cycles = [
        value
        for key, value in schedules.items()
        if key.endswith('.type')
        and getattr(value, '__name__', str(value)).split('.')[-1].startswith('OneCycle')
        and schedules.get(f'{key[: -len("type")]}param_name', 'lr') == 'lr'  # not of the momentum
    ]
    wrappers = _settings(cfg.get('optim_wrapper'), 'optim_wrapper')
    rates = [
        (key, value)
        for key, value in wrappers
        if '.paramwise_cfg.' in key and ((key.endswith(_RATES) and value != 1) or key.endswith('.lr'))
    ]
    for place, rate in rates:
        require(
            not cycles,
            f'{place} is {rate}, but OneCycleLR of this config gives all parameters the same rate, from its eta_max: '
            f'the multiplier would have no effect. Use schedules that scale the rates of all groups: LinearLR for the '
            f'warm-up, then CosineAnnealingLR, with the largest rate as optim_wrapper.optimizer.lr, as in '
            f'configs/small/_base_/fine_tuning.py.',
        )


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
