"""A student in another library: the library's own class, its names, and the proof that nothing got lost."""

from dataclasses import dataclass
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmlgd.checkpoints import CheckpointError, check_weights

RELATIVE_TOLERANCE = 1e-4  # float32 noise stays far below it, a layer in the wrong place far above


@dataclass
class StudentTarget:
    """What a converted student becomes.

    Args:
        module (nn.Module): The library's own class, without a classification head.
        weights (Dict[str, Tensor]): The student's, by the library's names.
        stages (Tuple[int], optional): ``out_indices`` of the student whose features are compared; None for its own.
        features (Callable): Features of ``module`` on a batch.
        expected (Callable): The same out of the student's own features.
        usage (str): Lines of code or config that use the file; ``OUT`` stands for its name.
        note (str): What is not in the file; empty if all is.
    """

    module: nn.Module
    weights: dict[str, Tensor]
    stages: Optional[tuple[int, ...]]
    features: Callable[[Tensor], list[Tensor]]
    expected: Callable[[list[Tensor]], list[Tensor]]
    usage: str
    note: str = ''

    def load(self, source: str) -> None:
        """Load the weights strictly.

        Raises:
            CheckpointError: A key is missing, unexpected, or of another shape.
        """
        check_weights(self.module, self.weights, source)
        self.module.load_state_dict(self.weights)
        self.module.eval()

    @torch.no_grad()
    def compare(self, student: nn.Module, picture_size: tuple[int, int], source: str) -> None:
        """Compare the features of both on a random picture.

        Args:
            student (nn.Module): Ours, in eval mode, with ``stages`` as its ``out_indices``.
            picture_size (Tuple[int, int]): Height and width.
            source (str): The checkpoint, for the error.

        Raises:
            CheckpointError: They differ, in number, shape or value.
        """
        picture = torch.randn(2, 3, *picture_size, generator=torch.Generator().manual_seed(0))
        ours = self.expected(tensors_in(student(picture)))
        theirs = self.features(picture)
        name = f'{type(self.module).__module__.split(".")[0]}.{type(self.module).__name__}'
        shapes = [[tuple(x.shape) for x in side] for side in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f'{source} gives features of shapes {shapes[0]}, in {name} of {shapes[1]}.')
        for k, (our, their) in enumerate(zip(ours, theirs)):
            error = ((our - their).abs().max() / our.abs().max()).item()
            if not error <= RELATIVE_TOLERANCE:  # NaN is no match either
                raise CheckpointError(
                    f'{source} fits {name} by its names, but feature {k} differs by {error:.1g} of its largest value; '
                    f'at most {RELATIVE_TOLERANCE:.0g} is expected. Either the student has settings that {name} has '
                    f'not (for example style="caffe"), or its weights are not finite. Convert to mmpretrain instead.'
                )


def tensors_in(features) -> list[Tensor]:
    """Flatten what a backbone returns."""
    if isinstance(features, Tensor):
        return [features]
    return [tensor for item in features for tensor in tensors_in(item)]
