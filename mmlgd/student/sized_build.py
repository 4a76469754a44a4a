"""Models out of a checkpoint, built no larger than the weights that are to go into them."""

from math import prod
from pathlib import Path
from typing import Any, Optional, Union

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmlgd.checkpoints.files import CheckpointError

# Beside its weights, a model makes indices and masks, and numbers to initialise with.
_TIMES, _SLACK = 4, 1 << 24


class no_larger_than(TorchDispatchMode):
    """Refuse to make tensors of many more numbers than some weights have, before there is memory for them.

    A config is a short text, and may ask for layers that fill the memory of any machine. Their weights would have to be
    in the file.

    Args:
        weights (Dict[str, Tensor]): Those that the model is to take.
        source (str | Path): Where they are from, for the error.

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
        self.source, self.asked = source, 0
        self.there = sum(value.numel() for value in weights.values() if isinstance(value, Tensor))

    def __torch_dispatch__(self, func: Any, types: tuple, args: tuple = (), kwargs: Optional[dict] = None) -> Any:
        """See :class:`torch.utils._python_dispatch.TorchDispatchMode`."""
        shapes = [prod(one) for one in args if isinstance(one, (list, tuple)) and all(type(n) is int for n in one)]
        made = max(shapes or [one for one in args if type(one) is int], default=0)
        if not any(isinstance(one, Tensor) for one in args):  # as empty and arange: something new
            self.asked += made
        if max(self.asked, made) > _TIMES * self.there + _SLACK:
            raise CheckpointError(
                f'{self.source} has a config that asks for layers of {max(self.asked, made):,} numbers or more, and '
                f'{self.there:,} in its weights: they do not belong together. Give the file as the run '
                f'has written it, or build the model from a config file of yours.'
            )
        return func(*args, **(kwargs or {}))
