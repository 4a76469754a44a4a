"""Converts checkpoints of the published LGD or SEED code, and others with the same layout, into ours.

They are plain torch: a torchvision-style encoder under `module.student.`, `student.`, `encoder_q.` or without a prefix,
its projection in `fc` or `classifier`, a teacher and perhaps a queue.
"""

import json
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config

from mmlgd.checkpoints import CheckpointError, check_weights, read_checkpoint, state_dict_of
from mmlgd.errors import ConfigError, brief, shown
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS
from mmlgd.student import Student
from mmlgd.student.saved import SavedStudent
from mmlgd.version import __version__

from .published_layout import split_parts
from .written import Written, saved, whole_output

BACKBONES = dict(
    resnet18=dict(type='mmpretrain.ResNet', depth=18, out_indices=(3,)),
    mobilenetv2=dict(type='mmpretrain.MobileNetV2', widen_factor=1.0, out_indices=(7,)),
)
PIXELS = dict(
    imagenet=IMAGENET_RGB,
    clip=dict(
        IMAGENET_RGB,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
)


def convert_published(
    checkpoint: str,
    out: Path,
    arch: Optional[str] = None,
    statistics: Optional[str] = None,
    prefix: Optional[str] = None,
    drop_unknown: bool = False,
) -> Written:
    """Write a published checkpoint in our layout.

    Args:
        checkpoint (str): A file or URL.
        out (Path): The file to write.
        arch (str): One of :data:`BACKBONES`.
        statistics (str, optional): Image statistics of its training, one of :data:`PIXELS`. Defaults to None: CLIP's if
            there is a CLIP teacher, ImageNet's if there is only a queue.
        prefix (str, optional): Prefix of the student's keys. Defaults to None: it is found.
        drop_unknown (bool): Drop unknown keys. Defaults to False, which refuses them.

    Returns:
        Written: The file.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ConfigError: The architecture or the statistics are unknown.
        CheckpointError: It is truncated or ours already, has no such student or a deeper one, or has unknown keys.
    """
    for name, value, known in (('arch', arch, BACKBONES), ('statistics', statistics or 'clip', PIXELS)):
        if value not in known:
            raise ConfigError(f'{name} is {value!r}, expected one of {", ".join(known)}. Give --{name}.')
    content = read_checkpoint(checkpoint)
    backbone = MODELS.build(dict(BACKBONES[arch]))
    state = {key: value for key, value in state_dict_of(content).items() if isinstance(value, torch.Tensor)}
    if not state:
        raise CheckpointError(
            f'{checkpoint} has no tensors by name, neither under state_dict nor beside it; it has '
            f'{brief([*content], 200)}. Save those of the student as dict(state_dict=...).'
        )
    meta = content.get('meta')
    if 'textual_bank.bank' in state or (isinstance(meta, dict) and 'mmlgd_version' in meta):
        raise CheckpointError(
            f'{checkpoint} is one of ours: there is nothing to convert. Use it as it is, or write it for another '
            f'library with `mmlgd export`.'
        )
    own = backbone.state_dict()
    parts = split_parts(state, arch, list(own), prefix, checkpoint)
    # Counters, which no feature depends on; files of torch before 0.4.1 lack them.
    counted = {key: value for key, value in own.items() if key.endswith('num_batches_tracked')}
    parts.backbone = {**counted, **parts.backbone}
    check_weights(backbone, parts.backbone, checkpoint)
    if parts.foreign:
        first = shown(brief(parts.foreign[0], 200))
        raise CheckpointError(
            f'{checkpoint} has a deeper student than {arch}: {len(parts.foreign)} more tensors, the first is {first}. '
            f'Without them it would give other features. Students of {" and ".join(BACKBONES)} are converted.'
        )
    if parts.unknown and not drop_unknown:
        listed = ', '.join(parts.unknown[:10]) + (', ...' if len(parts.unknown) > 10 else '')
        raise CheckpointError(
            f'{checkpoint} has {len(parts.unknown)} keys that belong neither to the student '
            f'({parts.prefix or "no prefix"}) nor to a teacher or a queue: {listed}. If the student does not need '
            f'them, add --drop-unknown.'
        )
    statistics = statistics or parts.statistics
    if not statistics:
        raise CheckpointError(
            f'{checkpoint} does not show the image statistics of the training: it has neither a CLIP teacher nor a '
            f'queue. Give --statistics clip (the published LGD code) or imagenet (SEED).'
        )
    model = dict(backbone=BACKBONES[arch], data_preprocessor=PIXELS[statistics])
    if parts.neck:
        hidden, output = (len(parts.neck[f'mlp.{k}.weight']) for k in (0, 2))
        model['neck'] = dict(type='mmlgd.ProjectionNeck', hid_channels=hidden, out_channels=output)
    config = Config(dict(default_scope='mmpretrain', model=model))
    state = {f'backbone.{key}': value for key, value in parts.backbone.items()}
    state.update({f'neck.{key}': value for key, value in parts.neck.items()})
    with whole_output(out, checkpoint) as file:
        meta = dict(cfg=config.pretty_text, mmlgd_version=__version__)
        file.write_bytes(saved(dict(meta=meta, state_dict=state)))
        Student(SavedStudent(read_checkpoint(file), checkpoint), device='cpu')
    neck = f'neck, {len(parts.neck)} tensors' if parts.neck else f'no neck: {parts.no_neck}'
    return Written(
        file=out,
        content=f'{arch} from {parts.prefix or "(no prefix)"}: backbone, {len(parts.backbone)} tensors; {neck}',
        check='backbone and neck are built from it',
        notes=(
            f'Dropped: {len(parts.dropped)} of teacher and queue, {len(parts.unknown)} unknown {parts.unknown[:10]}.',
            f'Images: RGB, mean {json.dumps(PIXELS[statistics]["mean"])}.',
        ),
        usage=(
            f'student = mmlgd.get_student({str(out)!r})\n'
            f"backbone = dict(init_cfg=dict(type='Pretrained', checkpoint={str(out)!r}, prefix='backbone.'))"
        ),
    )
