"""Replacements for mmengine's checkpoint loaders: they execute nothing, and compare a download with its hash.

mmengine's own loaders are less strict: upstream executes what it downloads, and the fork tries again without
``weights_only`` if a file holds more than weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number
from pathlib import Path
from typing import Any, Callable

from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import Tensor

from mmlgd.errors import brief

from .files import CheckpointError, read_checkpoint

_MOST = 1_000_000  # values and characters in a part of a training's state, beside its tensors
_MOST_LOGS = 1_000


def read_training(source: str, map_location: Any = 'cpu') -> dict:
    """Read a checkpoint for mmengine's runner, and remove everything from it that would run code or delete files.

    Args:
        source (str): A file or an ``http(s)://`` URL.
        map_location (str | torch.device | Callable): Where the tensors go. Defaults to ``'cpu'``.

    Returns:
        dict: Of :func:`~mmlgd.checkpoints.read_checkpoint`. If it has a training state, a run can resume from it.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The URL cannot be reached.
        CheckpointError: It is cut off, holds more than weights, or has a broken training state.
    """
    checkpoint = read_checkpoint(source, map_location or 'cpu')
    meta, hub = _dict_in(checkpoint, 'meta', source), _dict_in(checkpoint, 'message_hub', source)
    if hub:
        _check_meta(meta, source)
    # `Runner.resume` executes this text, which mmcv 1 wrote, to find the number of GPUs. The config is in meta.cfg.
    meta.pop('config', None)
    for part in ('optimizer', 'ema_state_dict'):
        _dict_in(checkpoint, part, source)
    state = checkpoint.get('state_dict', checkpoint)
    if not (isinstance(state, dict) and all(isinstance(key, str) for key in state)):
        raise _error(source, 'state_dict', state)
    _without_wrapper(state)
    # resume_state.py compares their content with the run's own optimizer and schedules once these are built.
    for part in ('optimizer', 'param_schedulers'):
        if not _is_ordinary(checkpoint.get(part), plain=False):
            raise CheckpointError(
                f'{source} has more in its {part} than any run keeps there ({_MOST:,} values and characters). Give a '
                f'checkpoint that a run has written (epoch_*.pth or iter_*.pth).'
            )
    schedules = checkpoint.get('param_schedulers') or []
    for group in schedules.values() if isinstance(schedules, dict) else [schedules]:
        if not isinstance(group, list) or not all(isinstance(state, dict) for state in group):
            raise _error(source, 'param_schedulers', group)
    _look_beside(_dict_in(hub, 'runtime_info', source), source)
    for part, is_taken in _LOGGED.items():
        told = _dict_in(hub, part, source)
        foreign = [key for key in told if not (_is_name(key) and is_taken(told[key]))]
        foreign += [key for key in told if key not in foreign][_MOST_LOGS:]
        for key in foreign:
            del told[key]
        if foreign:
            print_log(f'{source}: {len(foreign)} entries of its message_hub.{part} are ignored.', 'current', 30)
    return checkpoint


def _without_wrapper(state: dict) -> None:
    """Take out the ``module.`` that DDP puts before each name; mmengine does so only if ``init_cfg`` has no prefix."""
    for key in [key for key in state if key.startswith('module.')]:
        state[key.removeprefix('module.')] = state.pop(key)


def _is_name(key: Any) -> bool:
    """Whether this can be the name of a number in a log, which is written into each line."""
    return isinstance(key, str) and len(key) <= 200 and key.isprintable()


def _is_ordinary(value: Any, plain: bool = True) -> bool:
    """Whether a value is small, also with shared lists written out; ``plain``: only printable texts and numbers."""
    todo, size = [value], 0
    while todo:
        one = todo.pop()
        size += 1 + len(one) if isinstance(one, str) else 1
        if isinstance(one, (dict, list, tuple)):
            todo += [*one, *one.values()] if isinstance(one, dict) else one
        elif plain and not _is_plain(one):
            return False
        if size + len(todo) > _MOST:
            return False
    return True


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 4096 and value.isprintable()  # a path may be that long
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, Number) or isinstance(value, Tensor) and value.ndim == 0


# The parts that a resumed run copies into mmengine's message hub, and the values that they may have.
_LOGGED: dict[str, Callable[[Any], bool]] = dict(
    log_scalars=lambda value: isinstance(value, HistoryBuffer),
    runtime_info=_is_ordinary,
    resumed_keys=lambda value: isinstance(value, bool),
)


def _dict_in(checkpoint: dict, part: str, source: str) -> dict:
    value = {} if checkpoint.get(part) is None else checkpoint[part]
    if not isinstance(value, dict):
        raise _error(source, part, value)
    return value


def _check_meta(meta: dict, source: str) -> None:
    for key, limit in (('epoch', 2**63), ('iter', 2**63), ('seed', 2**32)):
        value = meta.get(key)
        if not (type(value) is int and 0 <= value < limit or key == 'seed' and value is None):
            raise _error(source, f'meta.{key}', value)


def _error(source: str, part: str, value: Any) -> CheckpointError:
    return CheckpointError(
        f'{source} has {brief(value, 50)!r}, a {type(value).__name__}, as its {part}; a run cannot resume from this. '
        f'Give a checkpoint that a run has written (epoch_*.pth or iter_*.pth).'
    )


def _look_beside(told: dict, source: str) -> None:
    """Point a file's references to other checkpoints to its own folder, and remove its config.

    mmengine's ``CheckpointHook`` deletes the checkpoints that a resumed one names as outdated. An untrusted file could
    name any file of this machine. The config would go into the run's next checkpoints, from which mmengine's
    inferencers execute it.
    """
    told.pop('cfg', None)
    for key in [key for key in told if str(key).startswith(('best_ckpt', 'last_ckpt'))]:
        path = str(told.pop(key)).replace('\\', '/')
        file = Path(source).absolute().parent / path.rpartition('/')[2]
        if not file.is_dir():  # mmengine's hook would remove a folder with its content
            told[key] = str(file)
    if 'keep_ckpt_ids' in told:
        steps = told['keep_ckpt_ids']
        told['keep_ckpt_ids'] = [step for step in steps if type(step) is int] if isinstance(steps, list) else []


# Named like mmengine's loaders: it logs the part of the name after `load_from_`.


def load_from_local(filename: str, map_location: Any = 'cpu') -> dict:
    """Read a file, see :func:`read_training`."""
    return read_training(filename, map_location)


def load_from_http(filename: str, map_location: Any = 'cpu') -> dict:
    """Download a file, unless it is in torch's hub folder, and compare it with its hash."""
    return read_training(filename, map_location)


def load_from_torchvision(filename: str, map_location: Any = 'cpu') -> dict:
    """Read the weights that mmengine lists as ``torchvision://NAME``; an unknown name is a KeyError, as in mmengine."""
    return read_checkpoint(get_torchvision_models()[filename.partition('://')[2]], map_location or 'cpu')


def load_from_openmmlab(filename: str, map_location: Any = 'cpu') -> dict:
    """Read the weights that mmengine lists as ``open-mmlab://NAME``."""
    name = filename.partition('://')[2]
    return read_checkpoint(get_external_models()[get_deprecated_model_names().get(name, name)], map_location or 'cpu')


def load_from_mmcls(filename: str, map_location: Any = 'cpu') -> dict:
    """Read the weights that mmengine lists as ``mmcls://NAME``: the backbone, by names without the prefix."""
    checkpoint = read_checkpoint(get_mmcls_models()[filename.partition('://')[2]], map_location or 'cpu')
    state, prefix = checkpoint.get('state_dict', checkpoint), 'backbone.'
    return dict(state_dict={key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})


def load_from_elsewhere(filename: str, map_location: Any = 'cpu') -> dict:
    """Refuse the storages whose files mmengine would unpickle."""
    raise CheckpointError(f'Weights are not read from {filename!r}: copy the file here and give its path.')


def safe_loading() -> None:
    """Make mmengine read every checkpoint of this process as data, on either stack; idempotent.

    The loaders of upstream mmengine execute what they load, and refuse checkpoints of training since torch 2.6. These
    loaders execute nothing, and compare downloads with their hash. The commands of mmlgd call this function;
    ``import mmlgd`` does not change mmengine's loaders.

    Examples:
        >>> import mmlgd
        >>> mmlgd.safe_loading()
    """
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('modelzoo://', 'torchvision://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        (('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_elsewhere),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


@contextmanager
def loading_safely() -> Iterator[None]:
    """Make mmengine read checkpoints as data inside the block, see :func:`safe_loading`, and restore its loaders.

    Examples:
        >>> with loading_safely():
        ...     pass
    """
    before = dict(CheckpointLoader._schemes)
    safe_loading()
    try:
        yield
    finally:
        CheckpointLoader._schemes = before
