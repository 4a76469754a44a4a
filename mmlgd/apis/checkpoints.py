"""Checkpoints read without running anything in them, and errors that say what is wrong with one."""

import ast
from collections import Counter
from pathlib import Path
from pickle import UnpicklingError
from typing import Union
from urllib.error import URLError

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not hold what is asked of it."""


def read_checkpoint(source: Union[str, Path]) -> dict:
    """Read a checkpoint file or URL onto the CPU, with ``weights_only``: nothing in it is executed.

    A download is kept in torch's hub folder and, if its name ends in ``-{hash8}.pth`` as published ones do, checked.

    Args:
        source (str | Path): A local file or an ``http(s)://`` URL.

    Returns:
        dict: As it was saved; :func:`state_dict_of` has its tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The URL cannot be reached.
        CheckpointError: The file is cut off, or no checkpoint.
    """
    try:
        if '://' in str(source):
            checkpoint = torch.hub.load_state_dict_from_url(
                str(source), map_location='cpu', check_hash=True, weights_only=True
            )
        elif not Path(source).is_file():
            raise FileNotFoundError(f'There is no checkpoint at {str(source)!r}.')
        else:
            checkpoint = torch.load(source, map_location='cpu', weights_only=True)
    except URLError as error:
        raise ConnectionError(
            f'Cannot download {source}: {error.reason}. On a machine without a network, copy the file here and give '
            f'its path.'
        ) from error
    except UnpicklingError as error:
        raise CheckpointError(
            f'{source} is cut off, is no checkpoint, or holds more than weights, which is not executed here: '
            f'{str(error).splitlines()[0]} Compare its size with the original and copy it again.'
        ) from error
    except (FileNotFoundError, PermissionError):
        raise
    except (RuntimeError, EOFError, OSError) as error:  # what torch raises depends on where the file was cut off
        raise CheckpointError(
            f'{source} is cut off, or no checkpoint: {str(error).splitlines()[0] if str(error) else "it ends early"} '
            f'Compare its size with the original and copy it again.'
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint:
        raise CheckpointError(f'{source} holds a {type(checkpoint).__name__}, not a checkpoint (a dict of tensors).')
    return checkpoint


def state_dict_of(checkpoint: dict) -> dict[str, Tensor]:
    """Find the tensors of a checkpoint, by names without the ``module.`` that DDP puts before them.

    Args:
        checkpoint (dict): Of :func:`read_checkpoint`, with the tensors under ``state_dict``, or the tensors themselves.

    Returns:
        Dict[str, Tensor]: Its state dict.
    """
    state = checkpoint.get('state_dict', checkpoint)
    return {key.removeprefix('module.'): value for key, value in state.items()}


def part_weights(state: dict[str, Tensor], part: str, source: Union[str, Path] = 'The checkpoint') -> dict[str, Tensor]:
    """Pick one part of a model: ``backbone`` or ``neck``.

    Args:
        state (Dict[str, Tensor]): Of :func:`state_dict_of`.
        part (str): Prefix, with or without its dot at the end.
        source (str | Path): Where it is from, for the error.

    Returns:
        Dict[str, Tensor]: The part's tensors, by names without the prefix. Never empty.

    Raises:
        CheckpointError: There is no such part; the message names those there are.
    """
    prefix = part.rstrip('.') + '.'
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not weights:
        there = Counter(key.split('.')[0] for key in state)
        listed = ', '.join(f'{name}.* ({count})' for name, count in there.most_common(6))
        raise CheckpointError(
            f'{source} has no {prefix}* weights; it has {listed or "no weights at all"}. {_guess(there)}'
        )
    return weights


def check_weights(module: nn.Module, weights: dict[str, Tensor], source: Union[str, Path] = 'The checkpoint') -> None:
    """Refuse weights that are not exactly those of a module; torch's own message would list every key.

    Args:
        module (nn.Module): What is to take them.
        weights (Dict[str, Tensor]): By the module's own names.
        source (str | Path): Where they are from, for the error.

    Raises:
        CheckpointError: Keys are missing, unexpected, or of another shape; the message shows the first of each.
    """
    wanted = module.state_dict()
    faults = [
        ('missing', [key for key in wanted if key not in weights]),
        ('unexpected', [key for key in weights if key not in wanted]),
        (
            'of another shape',
            [
                f'{key} {_shape(weights[key])} instead of {_shape(wanted[key])}'
                for key in wanted
                if key in weights and _shape(weights[key]) != _shape(wanted[key])
            ],
        ),
    ]
    told = [f'{len(keys)} {what} ({", ".join(keys[:3])}{", ..." if keys[3:] else ""})' for what, keys in faults if keys]
    if told:
        raise CheckpointError(
            f'{source} does not fit {type(module).__name__}: of {len(wanted)} keys, {"; ".join(told)}. Give the '
            f'backbone the depth, width and type that the student was trained with.'
        )


def model_config(checkpoint: dict, source: Union[str, Path] = 'The checkpoint') -> ConfigDict:
    """Read how the model was built from the config that mmengine keeps in a checkpoint, as data.

    Args:
        checkpoint (dict): Of :func:`read_checkpoint`.
        source (str | Path): Where it is from, for the error.

    Returns:
        ConfigDict: The config's settings, ``model`` among them.

    Raises:
        CheckpointError: It holds no config, or one with anything but literals in it.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not isinstance(text, str):
        raise CheckpointError(
            f'{source} does not say how its model was built (no meta.cfg). Give the config that it was trained with.'
        )
    try:
        body = ast.parse(text).body
        settings = {node.targets[0].id: _literal(node.value) for node in body if isinstance(node, ast.Assign)}
    except (SyntaxError, ValueError, AttributeError) as error:
        raise CheckpointError(f'The config in {source} is not plain settings: {error}.') from error
    if 'model' not in settings:
        raise CheckpointError(f'The config in {source} has no model. Is it a checkpoint of training?')
    return ConfigDict(settings)


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


def _shape(value) -> tuple:
    return tuple(getattr(value, 'shape', ()))


def _guess(there: Counter) -> str:
    if {'visual', 'transformer', 'token_embedding'} & set(there):
        return 'This looks like a CLIP teacher; give the checkpoint of the student that was distilled from it.'
    if {'conv1', 'layer1'} <= set(there) or 'features' in there:
        return 'This looks like a bare backbone: leave the prefix out.'
    return 'Give a checkpoint of LGD training (epoch_*.pth), or change the prefix.'
