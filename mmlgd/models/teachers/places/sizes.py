"""Towers for images of another size than in their training: position embeddings are interpolated."""

import copy
from itertools import chain

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from mmlgd.models.teachers.base import TeacherError

_STRIDE = 32  # of CLIP's ResNets


def for_size(tower: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Make a tower for images of another size.

    Args:
        tower (nn.Module): A tower of open_clip or timm, or one without position embeddings.
        size (Tuple[int, int]): Height and width of the images in pixels.

    Returns:
        nn.Module: A copy that shares the tower's weights, except for position embeddings. These are interpolated as
        open_clip and timm do: bicubic with antialiasing.

    Raises:
        TeacherError: The size is no multiple of the tower's patches.
    """
    tower = shared_copy(tower)
    trunk = getattr(tower, 'trunk', tower)  # of open_clip's TimmModel
    if isinstance(tower, VisionTransformer):
        grid = _grid(size, tower.patch_size)
        tower.positional_embedding = _resized(tower.positional_embedding, grid, tower.grid_size)
    elif isinstance(tower, ModifiedResNet):
        pool, side = tower.attnpool, tower.image_size // _STRIDE
        pool.positional_embedding = _resized(pool.positional_embedding, _grid(size, (_STRIDE, _STRIDE)), (side, side))
    elif hasattr(trunk, 'set_input_size'):
        _grid(size, getattr(getattr(trunk, 'patch_embed', None), 'patch_size', (1, 1)))
        trunk.set_input_size(size)
    return tower


def has_own_size(tower: nn.Module) -> bool:
    """Tell whether :func:`for_size` changes a tower: whether it has position embeddings, or takes one size alone.

    Args:
        tower (nn.Module): The tower.

    Returns:
        bool: False for a convolutional one.
    """
    known = isinstance(tower, (VisionTransformer, ModifiedResNet))
    return known or hasattr(getattr(tower, 'trunk', tower), 'set_input_size')


def shared_copy(tower: nn.Module) -> nn.Module:
    """Copy the modules of a tower alone: its tensors stay the same.

    Args:
        tower (nn.Module): Any module.

    Returns:
        nn.Module: The copy.
    """
    return copy.deepcopy(tower, {id(tensor): tensor for tensor in chain(tower.parameters(), tower.buffers())})


def _grid(size: tuple[int, int], patch: tuple[int, int]) -> tuple[int, int]:
    if any(pixels % side for pixels, side in zip(size, patch)):
        raise TeacherError(f'expected multiples of {tuple(patch)} pixels.')
    return size[0] // patch[0], size[1] // patch[1]


def _resized(embedding: Tensor, grid: tuple[int, int], old: tuple[int, int]) -> nn.Parameter:
    with torch.no_grad():
        embedding = resample_abs_pos_embed(embedding[None], grid, old, num_prefix_tokens=1)[0]
    return nn.Parameter(embedding, requires_grad=False)
