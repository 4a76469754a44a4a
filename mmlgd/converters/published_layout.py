"""Finds the parts of a plain-torch distillation checkpoint by their names."""

import re
from dataclasses import dataclass, field
from typing import Optional

from torch import Tensor

from mmlgd.checkpoints import CheckpointError, part_weights

from .mobilenet_names import mobilenet_names

# One key of each architecture that no other architecture has.
MARKERS = dict(resnet18='layer1.0.conv1.weight', mobilenetv2='features.0.0.weight')
TEACHERS = {'teacher', 'encoder_k'}
STUDENTS = {'student', 'encoder_q'}
HEADS = ('fc', 'classifier')
CLIP = {'visual', 'token_embedding', 'positional_embedding', 'attnpool', 'logit_scale'}


@dataclass
class Parts:
    """The parts of a published checkpoint.

    Args:
        prefix (str): Prefix of the student's keys.
        backbone (Dict[str, Tensor]): Weights by mmpretrain's names.
        neck (Dict[str, Tensor]): Weights by the names of :class:`~mmlgd.models.ProjectionNeck`; empty if there is no
            neck.
        no_neck (str): The reason if there is no neck.
        dropped (List[str]): Keys of teacher and queue.
        foreign (List[str]): Keys in the student's own layers that the architecture does not have.
        unknown (List[str]): All other keys.
        statistics (str, optional): Image statistics, inferred from teacher or queue.
    """

    prefix: str
    backbone: dict[str, Tensor] = field(default_factory=dict)
    neck: dict[str, Tensor] = field(default_factory=dict)
    no_neck: str = ''
    dropped: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    statistics: Optional[str] = None


def split_parts(state: dict[str, Tensor], arch: str, names: list[str], prefix: Optional[str], source: str) -> Parts:
    """Sort a state dict into student, teacher, queue and unknown.

    Args:
        state (Dict[str, Tensor]): State dict without DDP's prefix.
        arch (str): One of :data:`MARKERS`.
        names (List[str]): mmpretrain's names of the backbone.
        prefix (str, optional): Prefix of the student's keys; None to find it.
        source (str): The checkpoint, for errors.

    Returns:
        Parts: The parts. The backbone may lack tensors, which :func:`~mmlgd.checkpoints.check_weights` reports.

    Raises:
        CheckpointError: There is no student of this architecture, or several.
    """
    parts = Parts(_find_student(state, arch, source) if prefix is None else _with_dot(prefix))
    if parts.prefix:
        part_weights(state, parts.prefix, source)  # an error if there are none
    theirs = mobilenet_names(names, 'torchvision') if arch == 'mobilenetv2' else {name: name for name in names}
    ours = {parts.prefix + their: our for our, their in theirs.items()}
    own_layers = tuple({f'{parts.prefix}{their.split(".")[0]}.' for their in theirs.values()})
    head = {}
    for key, value in state.items():
        segments = key.split('.')
        if key in ours:
            parts.backbone[ours[key]] = value
        elif key.startswith(tuple(f'{parts.prefix}{name}.' for name in HEADS)):
            head[key] = value
        elif key.startswith(own_layers):
            parts.foreign.append(key)
        elif TEACHERS & set(segments) or segments[-1].startswith('queue'):
            parts.dropped.append(key)
        else:
            parts.unknown.append(key)
    _map_head(head, parts)
    segments = {segment for key in parts.dropped for segment in key.split('.')}
    if CLIP & segments:
        parts.statistics = 'clip'
    elif any(segment.startswith('queue') for segment in segments):
        parts.statistics = 'imagenet'
    return parts


def _find_student(state: dict[str, Tensor], arch: str, source: str) -> str:
    found = {
        name: [key.removesuffix(marker) for key in state if key == marker or key.endswith(f'.{marker}')]
        for name, marker in MARKERS.items()
    }
    found = {name: [p for p in prefixes if not _of_teacher(p)] for name, prefixes in found.items()}
    students = [p for p in found[arch] if STUDENTS & set(p.split('.'))] or found[arch]
    if len(students) == 1:
        return students[0]
    if students:
        listed = ', '.join(p or '(none)' for p in students)
        raise CheckpointError(f'{source} has {arch} under several prefixes: {listed}. Name the student with --prefix.')
    others = [f'--arch {name}' for name, prefixes in found.items() if prefixes]
    there = ', '.join(dict.fromkeys(key.split('.')[0] + '.*' for key in state))
    raise CheckpointError(
        f'{source} has no student of the architecture {arch}: expected a key that ends in {MARKERS[arch]}, outside '
        f'{" and ".join(sorted(TEACHERS))}; it has {there}. '
        + (f'Try {others[0]}.' if others else 'Give the checkpoint of a torchvision-style student.')
    )


def _with_dot(prefix: str) -> str:
    prefix = prefix.removeprefix('module.')  # removed from the state dict as well
    return prefix if not prefix or prefix.endswith('.') else f'{prefix}.'


def _of_teacher(prefix: str) -> bool:
    return bool((TEACHERS | CLIP) & set(prefix.split('.')))


def _map_head(head: dict[str, Tensor], parts: Parts) -> None:
    """Take the projection if it is fc-relu-fc like our neck; a single linear layer does not fit."""
    layers = sorted(
        dict.fromkeys(key.rpartition('.')[0] for key in head),
        key=lambda name: [int(n) for n in re.findall(r'\d+', name)],
    )
    complete = all({f'{layer}.weight', f'{layer}.bias'} <= set(head) for layer in layers) and len(head) == 2 * len(
        layers
    )
    if complete and len(layers) == 2 and all(head[f'{layer}.weight'].ndim == 2 for layer in layers):
        for layer, index in zip(layers, (0, 2)):
            for tensor in ('weight', 'bias'):
                parts.neck[f'mlp.{index}.{tensor}'] = head[f'{layer}.{tensor}']
    elif complete and len(layers) <= 1:
        parts.no_neck = 'its head is one linear layer, our neck is fc-relu-fc' if layers else 'there is no head'
        parts.dropped += head
    else:
        parts.no_neck = 'its head is not fc-relu-fc'
        parts.unknown += head
