"""Builds models from a checkpoint, but none that is much larger than the weights in it."""

from pathlib import Path
from typing import Any, Optional, Union

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from mmlgd.checkpoints.files import CheckpointError

# Apart from its weights, a model makes indices, masks and numbers for initialisation.
_TIMES, _SLACK = 4, 1 << 24
# Torch operations allowed per tensor of a model, and in addition. Most models take 3 to 10 per tensor; timm's MaxViT at
# 512 pixels takes a hundred, because it builds its indices row by row.
_STEPS, _SLACK_OF_STEPS = 200, 10_000


class no_larger_than(TorchDispatchMode):
    """Refuse to create many more numbers or layers than the weights have, before memory is allocated.

    A short config can ask for layers that fill the memory of any machine, but the weights of real layers must be in the
    file. Each torch operation first runs without data, which shows how many numbers it would create.

    Args:
        weights (Dict[str, Tensor]): The weights for the model.
        source (str | Path): Source of the weights, for the error message.

    Examples:
        >>> import torch
        >>> with no_larger_than({'weight': torch.zeros(2, 2)}, 'a.pth'):
        ...     layer = torch.nn.Linear(2, 2)
        >>> with no_larger_than({'weight': torch.zeros(2, 2)}, 'a.pth'):
        ...     layer = torch.nn.Linear(2**20, 2**10)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        mmlgd.checkpoints.files.CheckpointError: a.pth has a config that asks for layers of 1,073,741,824 numbers...
    """

    def __init__(self, weights: dict[str, Tensor], source: Union[str, Path]):
        super().__init__()
        self.source, self.made, self.steps = source, 0, 0
        tensors = [value.numel() for value in weights.values() if isinstance(value, Tensor)]
        self.there, self.tensors = sum(tensors), len(tensors)

    def __torch_dispatch__(self, func: Any, types: tuple, args: tuple = (), kwargs: Optional[dict] = None) -> Any:
        """See :class:`torch.utils._python_dispatch.TorchDispatchMode`."""
        kwargs = kwargs or {}
        self.steps += 1
        if self.steps > _STEPS * self.tensors + _SLACK_OF_STEPS:
            raise self._refusal(f'so many layers that they take more than {self.steps - 1:,} steps', self.tensors)
        try:
            self._count(_made_by(func, args, kwargs))
        except (NotImplementedError, RuntimeError):  # operations that need the data, such as item()
            made = func(*args, **kwargs)
            self._count(sum(one.numel() for one in tree_flatten(made)[0] if isinstance(one, Tensor)))
            return made
        return func(*args, **kwargs)

    def _count(self, made: int) -> None:
        self.made += made
        if self.made > _TIMES * self.there + _SLACK:
            raise self._refusal(f'layers of {self.made:,} numbers or more', self.there)

    def _refusal(self, asked: str, there: int) -> CheckpointError:
        what = 'tensors' if 'steps' in asked else 'numbers'
        return CheckpointError(
            f'{self.source} has a config that asks for {asked}, but its weights have {there:,} {what}: they do not '
            f'match. Give the file as the run wrote it, or build the model from your own config file.'
        )


def _made_by(func: Any, args: tuple, kwargs: dict) -> int:
    """Count the numbers that a torch operation would allocate: views and in-place changes need none."""
    before: dict[int, tuple[torch.UntypedStorage, int]] = {}

    def empty(tensor: Tensor) -> Tensor:
        memory = torch.UntypedStorage(tensor.untyped_storage().nbytes(), device='meta')
        before[memory._cdata] = memory, memory.nbytes()
        alike = torch.empty(0, dtype=tensor.dtype, device='meta')
        return alike.set_(memory, tensor.storage_offset(), tensor.size(), tensor.stride())

    args, kwargs = tree_map_only(Tensor, empty, (args, kwargs))
    if any(argument.name == 'device' for argument in func._schema.arguments):
        kwargs = {**kwargs, 'device': torch.device('meta')}
    # Data from Python or numpy passes through here.
    made = args[0].numel() if func is torch.ops.aten.lift_fresh.default else 0
    for tensor in tree_flatten(func(*args, **kwargs))[0]:
        if isinstance(tensor, Tensor):
            memory = tensor.untyped_storage()
            grown = memory.nbytes() - before.get(memory._cdata, (None, 0))[1]
            made += grown // tensor.element_size()
            before[memory._cdata] = memory, memory.nbytes()
    return made
