"""Compare the state of optimizers and schedules in a checkpoint with those that the run has built.

torch and mmengine replace their own state by a file's without checks: a fused step writes as many numbers into a state
as its parameter has, whatever the size of the state, and a schedule takes any attribute.
"""

import inspect
from collections import Counter
from numbers import Real
from typing import Any, Optional, Union

import torch
from mmengine.optim import BaseOptimWrapper, OptimWrapperDict
from torch import Tensor

from mmlgd.errors import shown
from mmlgd.utils.numerics import is_finite

from .files import CheckpointError

# These settings say how a step is computed; the run decides them, not the checkpoint.
_OF_THE_RUN = ('params', 'fused', 'foreach', 'capturable', 'differentiable', 'maximize')
# States that are one number for a parameter of any shape, in torch's optimizers.
_SCALARS = ('step', 'eta', 'mu', 'mu_product')
_MOST = 1e300  # a smaller number is neither infinite nor NaN, and any whole number fits into a float


def fitted_optimizer(saved: Any, wrapper: Union[BaseOptimWrapper, OptimWrapperDict], part: str = 'optimizer') -> dict:
    """Keep the part of an optimizer's saved state that fits this run's optimizer.

    Args:
        saved (Any): Its state dict, from a checkpoint.
        wrapper (BaseOptimWrapper | OptimWrapperDict): The run's own, built.
        part (str): Which part of the checkpoint it is, for the error. Defaults to ``'optimizer'``.

    Returns:
        dict: The state to load. Its tensors share no memory; settings of how to compute a step are the run's.

    Raises:
        CheckpointError: It is for other parameters, or for another kind of optimizer.
    """
    if isinstance(wrapper, OptimWrapperDict):
        _require(
            isinstance(saved, dict) and saved.keys() == wrapper.optim_wrappers.keys(), part, 'for other optimizers'
        )
        return {name: fitted_optimizer(saved[name], one, f'{part}.{name}') for name, one in wrapper.items()}
    own = wrapper.optimizer.param_groups
    groups, state = (saved.get(key) for key in ('param_groups', 'state')) if isinstance(saved, dict) else (None, None)
    are_groups = isinstance(groups, list) and all(isinstance(group, dict) for group in groups)
    _require(are_groups and isinstance(state, dict), part, 'not the state of an optimizer')
    sizes = [[len(_ids(group, part)) for group in groups], [len(group['params']) for group in own]]
    _require(sizes[0] == sizes[1], part, f'for {sizes[0]} parameters by group, not {sizes[1]}')
    taken = [dict(_fitted_group(group, mine, part), params=group['params']) for group, mine in zip(groups, own)]
    owners = {
        index: (param, number)
        for number, (group, mine) in enumerate(zip(groups, own))
        for index, param in zip(group['params'], mine['params'])
    }
    _require(len(owners) == sum(sizes[1]) and state.keys() <= owners.keys(), part, 'for other parameters')
    kept: dict[tuple, Optional[dict]] = {}  # by group and dimensions
    fitted: dict[str, Any] = dict(state={}, param_groups=taken)
    for index, entries in state.items():
        param, number = owners[index]
        if (number, param.ndim) not in kept:
            kept[number, param.ndim] = _kept_of(wrapper.optimizer, taken[number], param.ndim, part)
        keeps_shape = _keeps_shapes(wrapper.optimizer, own[number])
        fitted['state'][index] = _fitted_entries(entries, param, keeps_shape, kept[number, param.ndim], part)
    base, own_base = saved.get('base_param_settings'), getattr(wrapper, 'base_param_settings', None)
    if own_base is not None and base is not None:
        _require(isinstance(base, dict), part, 'without settings')
        fitted['base_param_settings'] = _fitted_group(base, own_base, part)
    own_scaler = wrapper.loss_scaler.state_dict() if hasattr(wrapper, 'loss_scaler') else {}
    if own_scaler and saved.get('loss_scaler'):  # if the first run had none, this one starts with its own
        fitted['loss_scaler'] = saved['loss_scaler']
        _require(_is_like(fitted['loss_scaler'], own_scaler), part, 'with another loss_scaler')
    return fitted


def check_schedules(saved: Any, own: Union[list, dict], part: str = 'param_schedulers') -> None:
    """Refuse saved schedules that differ from the run's own schedules in number, attributes or kinds of values.

    Args:
        saved (Any): Their state dicts, from a checkpoint.
        own (list | dict): The run's schedules, built; for several optimizers, by their names.
        part (str): Which part of the checkpoint it is, for the error. Defaults to ``'param_schedulers'``.

    Raises:
        CheckpointError: They are other schedules, or have other attributes or values of another kind.
    """
    if isinstance(own, dict):
        _require(isinstance(saved, dict) and saved.keys() == own.keys(), part, 'for other optimizers')
        for name, schedulers in own.items():
            check_schedules(saved[name], schedulers, f'{part}.{name}')
        return
    alike = isinstance(saved, list) and len(saved) == len(own)
    _require(alike, part, f'not the {len(own)} of the config')
    for index, (state, scheduler) in enumerate(zip(saved, own)):
        where, mine = f'{part}[{index}]', scheduler.state_dict()
        _require(isinstance(state, dict), where, f'not the state of a {type(scheduler).__name__}')
        for key, value in state.items():
            _require(
                key in mine and _is_like(value, mine[key]),
                where,
                f'different from the {type(scheduler).__name__} of the config, in {_name(key)}',
            )


def _require(holds: bool, part: str, fault: str) -> None:
    if not holds:
        raise CheckpointError(
            f'its {part} is {fault}. Give a checkpoint that this run has written, and the optim_wrapper and '
            f'param_scheduler that the run started with.'
        )


def _name(key: Any) -> str:
    return shown(key)[:50] if isinstance(key, str) else f'a {type(key).__name__}'


def _ids(group: dict, part: str) -> list[int]:
    ids = group.get('params')
    _require(isinstance(ids, list) and all(type(one) is int for one in ids), part, 'without the numbers of parameters')
    return ids


def _keeps_shapes(optimizer: torch.optim.Optimizer, group: dict) -> bool:
    """Whether everything that the optimizer keeps for a parameter has the parameter's shape.

    Other optimizers keep rows and columns, or blocks, and check the sizes themselves; a fused step checks nothing.
    """
    factored = type(optimizer).__name__ == 'Adafactor'
    return bool(group.get('fused')) or type(optimizer).__module__.startswith('torch.optim.') and not factored


def _kept_of(optimizer: torch.optim.Optimizer, group: dict, dimensions: int, part: str) -> Optional[dict]:
    """Find what an optimizer of torch keeps for a parameter: take a step on a small one with the same settings."""
    kind = type(optimizer)
    if not kind.__module__.startswith('torch.optim.'):
        return None
    known = inspect.signature(kind).parameters.keys() - {*_OF_THE_RUN}
    small = torch.ones([2] * max(dimensions, 1), requires_grad=True)
    small.grad = torch.ones_like(small)
    try:
        own = kind([small], **{key: value for key, value in group.items() if key in known})
    except ValueError as error:  # torch checks each setting
        _require(False, part, f'with settings that {kind.__name__} does not take: {shown(error)[:200]}')
    try:
        own.step()
    except (RuntimeError, TypeError):  # LBFGS and SparseAdam take other steps
        return None
    return own.state[small]


def _fitted_entries(entries: Any, param: Tensor, keeps_shape: bool, kept: Optional[dict], part: str) -> dict:
    _require(isinstance(entries, dict), part, 'without a state for each parameter')
    fitted = {}
    for name, value in entries.items():
        if isinstance(value, Tensor):
            _require(value.device.type != 'meta', part, f'without numbers, in {_name(name)}')
            _require(value.layout != torch.strided or is_finite(value), part, f'NaN or infinite, in {_name(name)}')
            fits = value.shape == param.shape or value.ndim == 0 and name in _SCALARS
            if not keeps_shape:
                fits = value.numel() <= max(param.numel(), 1)
            fits &= value.layout == torch.strided and (value.is_floating_point() or not keeps_shape)
            told = f'of shape {tuple(value.shape)} and {value.dtype}, for a parameter of shape {tuple(param.shape)}'
            value = value.clone() if fits else value  # the numbers of an expanded tensor share memory
        else:
            fits = value is None or isinstance(value, bool) or _is_like(value, 0)
            told = f'a {type(value).__name__}'
        _require(fits and isinstance(name, str), part, f'not of this run: {_name(name)} is {told}')
        fitted[name] = value
    for name, own in (kept or {}).items() if fitted else ():  # without entries, the optimizer starts a new state
        value = fitted.get(name)
        fits = not isinstance(own, Tensor) or isinstance(value, Tensor) and (value.ndim == 0 or own.ndim > 0)
        fits |= isinstance(own, Tensor) and own.ndim == 0 and _is_like(value, 0)  # a step count, in older versions
        fits |= name == 'momentum_buffer' and value is None and 'step' not in kept  # SGD may start it at any step
        _require(fits, part, f'not of this run: {_name(name)} is {"missing" if value is None else "of another kind"}')
    return fitted


def _fitted_group(saved: dict, own: dict, part: str) -> dict:
    """Return the settings of this run's group, with the values of the saved one."""
    taken = {key: value for key, value in saved.items() if key in own and key not in _OF_THE_RUN}
    for key, value in taken.items():
        _require(_is_like(value, own[key]), part, f'of another kind: {_name(key)} is a {type(value).__name__}')
    return {**own, **taken}


def _is_like(value: Any, own: Any) -> bool:
    """Whether two values are of one kind: finite numbers, or lists of equally many of them."""
    if isinstance(own, bool):
        return isinstance(value, bool)
    if isinstance(own, Real):
        return isinstance(value, Real) and not isinstance(value, bool) and -_MOST < value < _MOST
    if isinstance(own, Tensor):
        return isinstance(value, Tensor) and value.shape == own.shape and value.is_floating_point()
    if isinstance(own, (list, tuple)):
        return isinstance(value, (list, tuple)) and len(value) == len(own) and all(map(_is_like, value, own))
    if isinstance(own, Counter):  # steps of a schedule, with how often each occurs
        return isinstance(value, Counter) and all(map(_is_count, [*value, *value.values()]))
    if isinstance(own, dict):
        return isinstance(value, dict) and value.keys() == own.keys() and all(_is_like(value[k], own[k]) for k in own)
    return type(value) is type(own) and value == own


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31
