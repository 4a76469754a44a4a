"""Towers with finer places: their last strides become holes between the weights, and the weights stay."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlgd.models.teachers.base import TeacherError

from .sizes import shared_copy

_MOVING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def for_stride(tower: nn.Module, stride: int, image_size: tuple[int, int]) -> nn.Module:
    r"""Make a convolutional tower that answers every ``stride`` pixels.

    A layer whose input already has the wanted stride keeps it, and reads its neighbours at the distance that they had
    before ("à trous", Holschneider et al., 1989; of CLIP's ResNets: MaskCLIP). So each answer is that of the tower to
    an image moved by some pixels, at the scale that it was trained with, and every (:math:`s / \text{stride}`)-th one
    is an answer that a tower of stride s gave before.

    Args:
        tower (nn.Module): A tower in eval mode.
        stride (int): Pixels from place to place, a power of 2.
        image_size (Tuple[int, int]): Height and width of its images in pixels.

    Returns:
        nn.Module: A copy that shares the tower's weights.

    Raises:
        TeacherError: The stride is no power of 2, or a layer cannot be changed in this way.
    """
    if stride < 1 or stride & (stride - 1):
        raise TeacherError(f'Expected a power of 2 as the stride of places, got {stride}.')
    tower = shared_copy(tower)
    for parent, name, layer, before in _layers(tower, image_size):
        step = _side(layer.stride)
        hole = max(1, before // stride)
        if hole == 1 and before * step <= stride:
            continue
        setattr(parent, name, _with_holes(layer, hole, max(1, stride // before)))
    return tower


def _layers(tower: nn.Module, image_size: tuple[int, int]) -> list[tuple[nn.Module, str, nn.Module, int]]:
    """List the layers that look at neighbours, with their parent, name, and the stride of their input."""
    found = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = 2 ** round(math.log2(image_size[1] / inputs[0].shape[-1]))

    layers = [module for module in tower.modules() if isinstance(module, _MOVING)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    with torch.no_grad():
        tower(torch.zeros(1, 3, *image_size).to(next(tower.parameters())))
    for hook in hooks:
        hook.remove()
    return [
        (parent, name, child, found[child])
        for parent in tower.modules()
        for name, child in parent.named_children()
        if child in found
    ]


def _with_holes(layer: nn.Module, hole: int, step: int) -> nn.Module:
    if isinstance(layer, nn.AvgPool2d):
        if step > 1 or (_side(layer.kernel_size), _side(layer.padding)) != (2, 0):
            raise TeacherError(f'{layer} cannot be changed.')
        return _MeanWithHoles(hole)
    side, padding = _side(layer.kernel_size), _side(layer.padding)
    layer.dilation, layer.stride = (hole, hole), (step, step)
    layer.padding = (
        tuple(hole * side for side in layer.padding) if isinstance(layer, nn.Conv2d) else hole * layer.padding
    )
    # The patches of a ConvNeXt overlap now, and the last ones would reach over the border: without a border there, each
    # of its layers would answer at fewer positions, and the places would no longer cover the image.
    beyond = max(0, hole * (side - 1 - 2 * padding) + 1 - step)
    return nn.Sequential(nn.ReplicationPad2d((0, beyond, 0, beyond)), layer) if beyond else layer


class _MeanWithHoles(nn.Module):
    """The mean of 2 x 2 positions with holes between them; torch's pooling by the mean has none."""

    def __init__(self, hole: int):
        super().__init__()
        self.hole = hole

    def forward(self, x: Tensor) -> Tensor:
        h = self.hole
        x = F.pad(x, (0, h, 0, h), mode='replicate')
        x = x[..., :-h] + x[..., h:]
        return (x[..., :-h, :] + x[..., h:, :]) / 4


def _side(value) -> int:
    return value if isinstance(value, int) else value[0]
