"""The tensors and the parts of a checkpoint, checked before they are used."""

from collections import Counter
from pathlib import Path
from typing import Union

import torch
from torch import Tensor, nn

from mmlgd.errors import brief, shown
from mmlgd.utils.numerics import is_finite

from .files import CheckpointError


def state_dict_of(checkpoint: dict) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, without the ``module.`` that DDP puts before each name.

    Args:
        checkpoint (dict): Of :func:`read_checkpoint`, with the tensors under ``state_dict``, or the tensors themselves.

    Returns:
        Dict[str, Tensor]: Its state dict.

    Raises:
        CheckpointError: It holds no tensors by name, or one name both with and without ``module.``.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise CheckpointError(
            f'A checkpoint holds tensors by name, such as backbone.conv1.weight; this one has a '
            f'{type(state).__name__} instead. Give a checkpoint of training.'
        )
    named = {key.removeprefix('module.'): value for key, value in state.items()}
    if len(named) < len(state):
        twice = next(key for key in state if f'module.{key}' in state)
        raise CheckpointError(
            f'A checkpoint holds each tensor once; this one has both {shown(brief(twice, 200))} and the same with '
            f'module. before it. Save the one that is meant.'
        )
    return named


def part_weights(state: dict[str, Tensor], part: str, source: Union[str, Path] = 'The checkpoint') -> dict[str, Tensor]:
    """Pick one part of a model: ``backbone`` or ``neck``.

    Args:
        state (Dict[str, Tensor]): Of :func:`state_dict_of`.
        part (str): Prefix, with or without its dot at the end.
        source (str | Path): Where the checkpoint comes from, for the error.

    Returns:
        Dict[str, Tensor]: The part's tensors, by names without the prefix. Never empty.

    Raises:
        CheckpointError: There is no such part; the message lists the existing parts.
    """
    prefix = part.rstrip('.') + '.'
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not weights:
        there = Counter(shown(brief(key, 200)).split('.')[0] for key in state)
        listed = ', '.join(f'{name}.* ({count})' for name, count in there.most_common(6))
        raise CheckpointError(
            f'{source} has no {prefix}* weights; it has {listed or "no weights at all"}. {_guess(there)}'
        )
    return weights


def check_weights(
    module: nn.Module, weights: dict[str, Tensor], source: Union[str, Path] = 'The checkpoint', cure: str = ''
) -> None:
    """Refuse weights that do not fit a module exactly; torch's own message would list every key.

    Args:
        module (nn.Module): The module that will load them.
        weights (Dict[str, Tensor]): By the module's own names.
        source (str | Path): Where they come from, for the error.
        cure (str): What to do about weights of other keys or shapes. Defaults to '', other settings of the module.

    Raises:
        CheckpointError: Keys are missing or unexpected, or values are of another shape or type, NaN or infinite; the
            message shows the first of each.
    """
    wanted = module.state_dict()
    faults = [
        ('missing', [key for key in wanted if key not in weights]),
        ('unexpected', [key for key in weights if key not in wanted]),
        (
            'of another type',
            [key for key in wanted if key in weights and not _is_alike(weights[key], wanted[key])],
        ),
        (
            'of another shape',
            [
                f'{key} {_shape(weights[key])} instead of {_shape(wanted[key])}'
                for key in wanted
                if key in weights and _shape(weights[key]) != _shape(wanted[key])
            ],
        ),
    ]
    told = [
        f'{len(keys)} {what} ({", ".join(shown(brief(key, 200)) for key in keys[:3])}{", ..." if keys[3:] else ""})'
        for what, keys in faults
        if keys
    ]
    if told:
        raise CheckpointError(
            f'{source} does not fit {type(module).__name__}: of {len(wanted)} keys, {"; ".join(told)}. '
            f'{cure or "Give the backbone the depth, width and type that the student was trained with."}'
        )
    if broken := [key for key, value in weights.items() if not is_finite(value)]:
        raise CheckpointError(
            f'{source} has NaN or infinite numbers in {len(broken)} of its {len(weights)} {type(module).__name__} '
            f'tensors; the first is {shown(brief(broken[0], 200))}. Its training had diverged: give an earlier '
            f'checkpoint.'
        )


def _is_alike(value, wanted: Tensor) -> bool:
    """Whether torch may copy a value into a tensor: floats into floats, integers into integers."""
    kinds = [(x.is_floating_point(), x.is_complex()) for x in (value, wanted)] if isinstance(value, Tensor) else []
    return bool(kinds) and kinds[0] == kinds[1] and value.layout == torch.strided and not value.is_quantized


def _shape(value) -> tuple:
    return tuple(getattr(value, 'shape', ()))


def _guess(there: Counter) -> str:
    if {'visual', 'transformer', 'token_embedding'} & set(there):
        return 'This looks like a CLIP teacher; give the checkpoint of the student that was distilled from it.'
    if {'conv1', 'layer1'} <= set(there) or 'features' in there:
        return 'This looks like a bare backbone: leave the prefix out.'
    return 'Give a checkpoint of LGD training (epoch_*.pth), or change the prefix.'
