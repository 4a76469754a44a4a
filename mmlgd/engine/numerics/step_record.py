"""The record of one training step for a replay: its inputs, the state before it, and its outputs."""

from collections import defaultdict
from pathlib import Path
from typing import Any, Union

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModel
from torch import Tensor

from mmlgd.errors import shown
from mmlgd.models.embedded import Drawn, Embedded
from mmlgd.models.place_names import usable_places
from mmlgd.utils.files import open_anew, own_folder
from mmlgd.utils.numerics import usable_rows

# What ranks share of a step. Of losses one flag: a detector may leave one out on a rank without boxes.
_SHARED = ('teacher', 'student', 'teacher_places', 'student_places')
ANY_LOSS = 'any_loss'


def taught_images(teacher: Union[Embedded, Drawn]) -> Tensor:
    """Tell images with an embedding of about unit length, and of each place if there are places.

    Args:
        teacher (Embedded | Drawn): The teacher's embeddings of N images.

    Returns:
        Tensor: (N,) bool.
    """
    usable = usable_rows(teacher.image)
    return usable if teacher.places is None else usable & usable_places(teacher.places).flatten(1).all(dim=1)


def broken_parts(student: Embedded, teacher: Union[Embedded, Drawn], losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Say which parts of a step are broken, without waiting for the device.

    Args:
        student (Embedded): The student's embeddings; broken where one is NaN or Inf.
        teacher (Embedded | Drawn): The teacher's embeddings; broken where one is zero, NaN or Inf.
        losses (Dict[str, Tensor]): Parts of the loss; broken where they are NaN or Inf.

    Returns:
        Dict[str, Tensor]: Scalars, bool: ``teacher``, ``student``, both with ``_places`` if there are places, and the
        losses by their names.

    Examples:
        >>> student, teacher = Embedded(torch.eye(2)), Embedded(torch.zeros(1, 2))
        >>> parts = broken_parts(student, teacher, dict(loss_visual=torch.tensor(1.0)))
        >>> [name for name, broken in parts.items() if broken]
        ['teacher']
    """
    parts = dict(teacher=~usable_rows(teacher.image).all(), student=~student.image.isfinite().all())
    if teacher.places is not None:
        parts['teacher_places'] = ~usable_places(teacher.places).all()
    if student.places is not None:
        parts['student_places'] = ~student.places.isfinite().all()
    return {**parts, **{name: ~value.isfinite().all() for name, value in losses.items()}}


class StepRecord:
    """Keep one step on the device, and report later whether it was broken; nothing waits for the device.

    For each step, call :meth:`start`, :meth:`see_inputs`, :meth:`see_outputs`, :meth:`finish` and, to read the result,
    :meth:`broken`.

    Args:
        model (BaseModel): The model without its wrapper. A copy of its parameters and buffers is kept, which takes the
            same memory again.

    Attributes:
        place (Dict[str, int]): Epoch, step of the epoch and iteration, from 0.
        examined (bool): Whether :meth:`broken` has answered.
        taught (Tensor): (N,) bool, images for which the teacher gave embeddings of about unit length.
    """

    def __init__(self, model: BaseModel):
        self._live = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self.state = {name: torch.empty_like(value, requires_grad=False) for name, value in self._live.items()}
        # One copy kernel for many tensors, as long as they are of one type.
        self._by_type: dict[torch.dtype, tuple[list, list]] = defaultdict(lambda: ([], []))
        for name, value in self._live.items():
            copies, originals = self._by_type[value.dtype]
            copies.append(self.state[name])
            originals.append(value)

    def start(self, **place: int) -> None:
        """Start a new step.

        Args:
            **place (int): Epoch, step of the epoch and iteration, from 0.
        """
        self.place = place
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self._parts: dict[str, Tensor] = {}
        self.examined = False

    @torch.no_grad()
    def see_inputs(self, inputs: dict[str, Any]) -> None:
        """Keep the model's inputs, its state and the state of the random generators.

        Args:
            inputs (dict): Keyword arguments of the model's ``forward``.
        """
        self.inputs = inputs
        self.rng = dict(cpu=torch.get_rng_state())
        device = inputs['inputs'].device
        if device.type == 'cuda':
            self.rng['cuda'] = torch.cuda.get_rng_state(device)
        for copies, originals in self._by_type.values():
            torch._foreach_copy_(copies, originals)

    def see_outputs(self, student: Embedded, teacher: Union[Embedded, Drawn], losses: dict[str, Tensor]) -> None:
        """Check the inputs and outputs of the loss, and keep them, except the places, which are large.

        Args:
            student (Embedded): (N, D), and the places if the loss has terms on them.
            teacher (Embedded | Drawn): Likewise.
            losses (Dict[str, Tensor]): The losses by name.
        """
        losses = {name: value.detach() for name, value in losses.items()}
        self.outputs = dict(student=student.image.detach(), teacher=teacher.image, losses=losses)
        self.taught = taught_images(teacher)
        self._parts = broken_parts(student, teacher, losses)

    def finish(self) -> None:
        """Share the result of the checks among the ranks; the host reads it in :meth:`broken`."""
        self._names = list(self._parts)
        if not self._parts:
            self.examined = True
            return
        own = torch.stack(list(self._parts.values())).float()  # (parts,)
        flags, none = dict(zip(self._names, own)), own.new_zeros(())
        losses = [none, *(flag for name, flag in flags.items() if name not in _SHARED)]
        anywhere = torch.stack([*(flags.get(name, none) for name in _SHARED), torch.stack(losses).max()])
        all_reduce(anywhere, 'max')
        found = torch.cat([own, anywhere])
        self._copied = None
        if found.is_cuda:
            self._found = torch.empty(found.shape, pin_memory=True).copy_(found, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()
        else:
            self._found = found

    def broken(self) -> tuple[list[str], list[str]]:
        """Wait for the result of this step, but not of later steps.

        Returns:
            Tuple[List[str], List[str]]: The broken parts on this rank, and those on any rank, where a loss of another
            rank is ``'any_loss'``.
        """
        if self._copied is not None:
            self._copied.synchronize()
        self.examined = True
        found = [bool(flag) for flag in self._found.tolist()]
        own = [name for name, broken in zip(self._names, found) if broken]
        anywhere = [name for name, broken in zip((*_SHARED, ANY_LOSS), found[len(self._names) :]) if broken]
        known = {*own, ANY_LOSS} if {*own} - {*_SHARED} else {*own}  # a loss of this rank has its name already
        return own, [*own, *(name for name in anywhere if name not in known)]

    def broken_state(self) -> list[str]:
        """List the parts of the model that were broken before the step.

        Returns:
            List[str]: Names of parameters and buffers with NaN or Inf before the step.
        """
        return [name for name, value in self.state.items() if not value.isfinite().all()]

    def paths(self) -> list[str]:
        """List the images of the batch.

        Returns:
            List[str]: Their files, or their positions in the batch if the files are unknown.
        """
        samples = self.inputs.get('data_samples') or [{}] * len(self.inputs['inputs'])
        return [shown(sample.get('img_path', f'image {k} of the batch')) for k, sample in enumerate(samples)]

    def save(self, file: Path, state_dict: dict, meta: dict, broken: list[str]) -> None:
        """Write the step so that ``weights_only`` can read it.

        Args:
            file (Path): The file; a missing folder is created.
            state_dict (dict): The model's state dict; its values are replaced by the values before the step.
            meta (dict): Numbers and texts; ``cfg`` is the config.
            broken (List[str]): The broken parts.
        """
        state = {name: _on_host(self.state.get(name, value)) for name, value in state_dict.items()}
        step = dict(
            inputs=_on_host(self.inputs['inputs']),
            teacher_embeddings=_on_host(self.inputs.get('teacher_embeddings')),
            teacher_places=_on_host(self.inputs.get('teacher_places')),
            paths=self.paths(),
            rng=self.rng,
            broken=broken,
            student=_on_host(self.outputs['student']),
            teacher=_on_host(self.outputs['teacher']),
            losses={name: _on_host(value) for name, value in self.outputs['losses'].items()},
        )
        own_folder(file.parent)
        with open_anew(file) as handle:
            torch.save(dict(meta={**meta, **self.place}, state_dict=state, step=step), handle)


def _on_host(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, Tensor) else value
