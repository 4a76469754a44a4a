"""Check whether a run can resume from a checkpoint, before it does."""

from typing import Any

from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmlgd.errors import brief
from mmlgd.utils.models import plain_model, trained_parts

from .files import CheckpointError
from .parts import check_weights, part_weights, state_dict_of
from .resume_state import check_schedules, fitted_optimizer

_QUEUES = ('queue', 'place_queue')  # of LGD; torch would leave one of another size as it is, with random rows


def check_resumable(runner: Runner, checkpoint: dict, source: str) -> None:
    """Refuse a checkpoint that has only weights, or that is of another model, optimizer or schedule.

    Without this check, mmengine loads what fits or raises a KeyError, and torch's optimizers trust the state in a file.

    Args:
        runner (Runner): The run. Its optimizer and schedules are built if necessary.
        checkpoint (dict): As it was read. The part of its optimizer state that fits the run's optimizer replaces it.
        source (str): Where it comes from, for the error.

    Raises:
        CheckpointError: The message says what is missing or differs, and how to start from the weights alone.
    """
    meta = _dict_of(checkpoint, 'meta')
    there = dict(
        epoch=isinstance(meta.get('epoch'), int),
        iter=isinstance(meta.get('iter'), int),
        message_hub=_is_hub(_dict_of(checkpoint, 'message_hub')),
    )
    start_anew = f'To start a new run from its weights: `--cfg-options load_from={source}` instead of --resume.'
    if missing := [name for name, found in there.items() if not found]:
        raise CheckpointError(
            f'Cannot resume from {source}: it lacks {", ".join(missing)}, which a training saves. It may be a '
            f'published file, or have only weights. Give an epoch_*.pth (or iter_*.pth) of the run. {start_anew}'
        )
    try:
        _check_model(runner, checkpoint, source)
        _check_state(runner, checkpoint, source)
    except CheckpointError as error:
        raise CheckpointError(f'Cannot resume: {error} {start_anew}') from error
    if 'ema_state_dict' in checkpoint and not any(isinstance(hook, EMAHook) for hook in runner.hooks):
        print_log(
            f'{source} has averaged weights (EMAHook), but this run has no EMAHook: it continues from the averaged '
            f'weights, with the momentum of the trained weights. To continue as before, add the hook of the first run '
            f'to custom_hooks.',
            'current',
            30,
        )
    if without := [name for name in ('optimizer', 'param_schedulers') if name not in checkpoint]:
        print_log(
            f'{source} has no {" and no ".join(without)} (like best_*.pth): they start from the beginning, so the '
            f'result differs from that of an uninterrupted run.',
            'current',
            30,
        )


def _check_model(runner: Runner, checkpoint: dict, source: str) -> None:
    state = state_dict_of(checkpoint)
    model = plain_model(runner)
    for name, part in trained_parts(model).items():
        check_weights(part, part_weights(state, name, source), f'{source}: {name}')
    for name in _QUEUES:
        own, saved = getattr(getattr(model, name, None), 'bank', None), state.get(f'{name}.bank')
        sizes = [tuple(getattr(bank, 'shape', ())) for bank in (own, saved)]
        if own is not None and saved is not None and sizes[0] != sizes[1]:
            raise CheckpointError(
                f'{source} has a {name} of {brief(sizes[1])}, and this run one of {sizes[0]}, which would begin with '
                f'random rows. Set model.{name}.size as in the first run.'
            )


def _check_state(runner: Runner, checkpoint: dict, source: str) -> None:
    # `Runner.resume` would build them next; it keeps the parts that are built already.
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    try:
        if 'optimizer' in checkpoint:
            checkpoint['optimizer'] = fitted_optimizer(checkpoint['optimizer'], runner.optim_wrapper)
        if 'param_schedulers' in checkpoint and runner.param_schedulers is not None:
            check_schedules(checkpoint['param_schedulers'], runner.param_schedulers)
    except CheckpointError as error:
        raise CheckpointError(f'{source} does not fit this run: {error}') from error


def _dict_of(checkpoint: dict, name: str) -> dict[str, Any]:
    value = checkpoint.get(name)
    return value if isinstance(value, dict) else {}


def _is_hub(hub: dict) -> bool:
    return all(isinstance(hub.get(key), dict) for key in ('log_scalars', 'runtime_info', 'resumed_keys'))
