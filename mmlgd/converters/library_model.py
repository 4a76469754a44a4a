"""A student in another library: the library's own class, its names, and the proof that nothing got lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmlgd.checkpoints import CheckpointError, check_weights, part_weights, read_checkpoint, state_dict_of
from mmlgd.student.image_size import image_size
from mmlgd.student.saved import SavedStudent, backbone_of

from .written import Written, whole_output

RELATIVE_TOLERANCE = 1e-4  # float32 noise stays far below it, a layer in the wrong place far above


@dataclass
class LibraryModel:
    """What a student becomes in another library.

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
    def compare(self, student: nn.Module, size: tuple[int, int], source: str) -> float:
        """Compare the features of both on random images.

        Args:
            student (nn.Module): Ours, in eval mode, with ``stages`` as its ``out_indices``.
            size (Tuple[int, int]): Height and width of the images.
            source (str): The checkpoint, for the error.

        Returns:
            float: The largest difference, as a share of the largest value of its feature.

        Raises:
            CheckpointError: They differ, in number, shape or value.
        """
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        ours = self.expected(tensors_in(student(images)))
        theirs = self.features(images)
        name = f'{type(self.module).__module__.split(".")[0]}.{type(self.module).__name__}'
        shapes = [[tuple(x.shape) for x in side] for side in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(f'{source} gives features of shapes {shapes[0]}, in {name} of {shapes[1]}.')
        differences = [((our - their).abs().max() / our.abs().max()).item() for our, their in zip(ours, theirs)]
        for k, difference in enumerate(differences):
            if not difference <= RELATIVE_TOLERANCE:  # NaN is no match either
                raise CheckpointError(
                    f'{source} fits {name} by its names, but feature {k} differs by {difference:.1g} of its largest '
                    f'value; at most {RELATIVE_TOLERANCE:.0g} is expected. Either the student has settings that {name} '
                    f'has not (for example style="caffe"), or its weights are not finite. Convert to mmpretrain '
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
    """Write a student for another library, whose own class loads it strictly and gives its features.

    Args:
        student (SavedStudent): The student.
        out (Path): The file to write.
        library (str): As it is imported.
        candidates (Callable): Takes the backbone's config and weights; gives builders of models, to be tried in turn.
        meta (dict, optional): With it, the file is a checkpoint as OpenMMLab has it: this under ``meta``, the weights
            under ``state_dict`` as ``backbone.*``. Defaults to None: the weights alone.

    Returns:
        Written: The file.

    Raises:
        CheckpointError: No candidate takes the weights, or gives the student's features.
    """
    student.build('backbone')  # what is wrong with the checkpoint itself is said in our names, before theirs
    backbone = backbone_of(student.config, student.source)
    if '.' not in backbone['type']:
        backbone['type'] = f'{student.config.get("default_scope", "mmpretrain")}.{backbone["type"]}'
    builders = candidates(backbone, part_weights(student.state, 'backbone', student.source))
    model, difference = _first_that_fits(student, builders)
    content = model.weights
    if meta is not None:
        content = dict(meta=meta, state_dict={f'backbone.{key}': value for key, value in content.items()})
    with whole_output(out, student.source) as file:
        torch.save(content, file)
        model.weights = state_dict_of(read_checkpoint(file))
        if meta is not None:
            model.weights = part_weights(model.weights, 'backbone', out)
        model.load(str(out))  # once more, now out of the file
    return Written(
        file=out,
        content=f'{len(model.weights)} tensors',
        check=f'{library} loads them strictly and gives the same features',
        difference=difference,
        notes=(model.note,) if model.note else (),
        usage=model.usage.replace('OUT', str(out)),
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
    """Flatten what a backbone returns."""
    if isinstance(features, Tensor):
        return [features]
    return [tensor for item in features for tensor in tensors_in(item)]
