"""A student as a model of another library: its class, its key names, and a check that the features are equal."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmlgd.checkpoints import CheckpointError, check_weights, part_weights, read_checkpoint, state_dict_of
from mmlgd.student.image_size import image_size
from mmlgd.student.saved import SavedStudent, backbone_of

from .written import Written, saved, whole_output

RELATIVE_TOLERANCE = 1e-4  # float32 noise is far below this, the effect of a misplaced layer far above


@dataclass
class LibraryModel:
    """A student as a model of another library.

    Args:
        module (nn.Module): The library's own class, without a classification head.
        weights (Dict[str, Tensor]): The student's weights, by the library's names.
        stages (Tuple[int], optional): ``out_indices`` of the compared features; None for the student's own.
        features (Callable): Computes features of ``module`` on a batch.
        expected (Callable): Computes the same from the student's own features.
        usage (str): Code or config that uses the file; ``'OUT'`` stands for its name.
        note (str): What is missing in the file; empty if it is complete.
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
    def compare(self, student: nn.Module, size: tuple[int, int], source: str) -> float:
        """Compare the features of both on random images.

        Args:
            student (nn.Module): The student, in eval mode, with ``stages`` as its ``out_indices``.
            size (Tuple[int, int]): Height and width of the images.
            source (str): The checkpoint, for the error.

        Returns:
            float: The largest difference, relative to the largest value of its feature.

        Raises:
            CheckpointError: They differ in number, shape or value.
        """
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        ours = self.expected(tensors_in(student(images)))
        theirs = self.features(images)
        name = f'{type(self.module).__module__.split(".")[0]}.{type(self.module).__name__}'
        shapes = [[tuple(x.shape) for x in side] for side in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f'{source} gives features of shapes {shapes[0]}, but {name} gives {shapes[1]}.')
        differences = [((our - their).abs().max() / our.abs().max()).item() for our, their in zip(ours, theirs)]
        for k, difference in enumerate(differences):
            if not difference <= RELATIVE_TOLERANCE:  # also True for NaN
                raise CheckpointError(
                    f'{source} has the keys of {name}, but feature {k} differs by {difference:.1g} of its largest '
                    f'value; expected at most {RELATIVE_TOLERANCE:.0g}. Either the student has settings that {name} '
                    f'does not have (for example style="caffe"), or its weights are not finite. Convert to mmpretrain '
                    f'instead.'
                )
        return max(differences)


def export_model(
    student: SavedStudent,
    out: Path,
    library: str,
    candidates: Callable[[dict, dict[str, Tensor]], Iterable[Callable[[], LibraryModel]]],
    meta: Optional[dict] = None,
) -> Written:
    """Write a student for another library, whose class must load it strictly and give the same features.

    Args:
        student (SavedStudent): The student.
        out (Path): The file to write.
        library (str): Import name of the library.
        candidates (Callable): Takes the backbone's config and weights; returns builders of models, which are tried in
            turn.
        meta (dict, optional): If given, the file is an OpenMMLab checkpoint: this under ``meta``, the weights under
            ``state_dict`` as ``backbone.*``. Defaults to None: only the weights.

    Returns:
        Written: The file.

    Raises:
        CheckpointError: No candidate loads the weights, or gives the student's features.
    """
    student.build('backbone')  # faults of the checkpoint itself are reported with our key names first
    backbone = backbone_of(student.config, student.source)
    if '.' not in backbone['type']:
        backbone['type'] = f'{student.config.get("default_scope", "mmpretrain")}.{backbone["type"]}'
    builders = candidates(backbone, part_weights(student.state, 'backbone', student.source))
    model, difference = _first_that_fits(student, builders)
    content = model.weights
    if meta is not None:
        content = dict(meta=meta, state_dict={f'backbone.{key}': value for key, value in content.items()})
    with whole_output(out, student.source) as file:
        file.write_bytes(saved(content))
        model.weights = state_dict_of(read_checkpoint(file))
        if meta is not None:
            model.weights = part_weights(model.weights, 'backbone', out)
        model.load(str(out))  # once more, now from the file
    return Written(
        file=out,
        content=f'{len(model.weights)} tensors',
        check=f'{library} loads them strictly and gives the same features',
        difference=difference,
        notes=(*([model.note] if model.note else []), f'Pixels 0..255, {student.pixels()}: normalise images so.'),
        usage=model.usage.replace("'OUT'", repr(str(out))),
    )


def _first_that_fits(
    student: SavedStudent, builders: Iterable[Callable[[], LibraryModel]]
) -> tuple[LibraryModel, float]:
    refusals = []
    for build in builders:
        try:
            model = build()
            model.load(student.source)
            ours = student.build('backbone', **({'out_indices': model.stages} if model.stages else {}))
            return model, model.compare(ours, image_size(student.config), student.source)
        except CheckpointError as error:
            refusals.append(str(error))
    raise CheckpointError(' '.join(refusals))


def tensors_in(features) -> list[Tensor]:
    """Flatten a backbone's output."""
    if isinstance(features, Tensor):
        return [features]
    return [tensor for item in features for tensor in tensors_in(item)]
