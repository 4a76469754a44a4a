"""Read a checkpoint of the published LGD or SEED code, or one laid out like them, into ours.

Those are plain torch: a torchvision-style encoder under `module.student.`, `student.`, `encoder_q.` or no prefix at
all, its projection in `fc` or `classifier`, beside it a teacher and perhaps a queue. Where the student is, is found,
not assumed. Teacher and queue are dropped; any other key that has no place in ours is named.
"""

import argparse
import json
from pathlib import Path
from typing import Optional

import torch
from checked_output import checked_output, run
from mmengine.config import Config
from published_layout import Parts, split_parts

import mmlgd
from mmlgd.checkpoints import CheckpointError, check_weights, read_checkpoint, state_dict_of
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS
from mmlgd.student import get_student

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


def convert(
    checkpoint: str,
    out: Path,
    arch: str,
    statistics: Optional[str] = None,
    prefix: Optional[str] = None,
    drop_unknown: bool = False,
) -> tuple[Parts, Config]:
    """Write a published checkpoint in our layout.

    Args:
        checkpoint (str): A file or URL.
        out (Path): The file to write.
        arch (str): ``'resnet18'`` or ``'mobilenetv2'``.
        statistics (str, optional): Picture statistics of its training, ``'imagenet'`` or ``'clip'``. Defaults to None:
            CLIP's beside a CLIP teacher, ImageNet's beside a queue without one.
        prefix (str, optional): Where the student is. Defaults to None: found.
        drop_unknown (bool): Leave out keys that have no place in ours. Defaults to False, which refuses them.

    Returns:
        Tuple[Parts, Config]: What was found, and the config in the file.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: It is cut off, has no such student, or has unknown keys.
    """
    content = read_checkpoint(checkpoint)
    backbone = MODELS.build(dict(BACKBONES[arch]))
    state = {key: value for key, value in state_dict_of(content).items() if isinstance(value, torch.Tensor)}
    parts = split_parts(state, arch, list(backbone.state_dict()), prefix, checkpoint)
    check_weights(backbone, parts.backbone, checkpoint)
    if parts.unknown and not drop_unknown:
        shown = ', '.join(parts.unknown[:10]) + (', ...' if len(parts.unknown) > 10 else '')
        raise CheckpointError(
            f'{checkpoint} has {len(parts.unknown)} keys that are neither the student ({parts.prefix or "no prefix"}) '
            f'nor a teacher nor a queue: {shown}. If the student does not need them, add --drop-unknown.'
        )
    statistics = statistics or parts.statistics
    if not statistics:
        raise CheckpointError(
            f'{checkpoint} does not tell which picture statistics its student was trained with: there is neither a '
            f'CLIP teacher nor a queue in it. Give --statistics clip (the published LGD code) or imagenet (SEED).'
        )
    model = dict(backbone=BACKBONES[arch], data_preprocessor=PIXELS[statistics])
    if parts.neck:
        hidden, output = (parts.neck[f'mlp.{k}.weight'].shape for k in (0, 2))
        neck = dict(in_channels=hidden[1], hid_channels=hidden[0], out_channels=output[0])
        model['neck'] = dict(type='mmlgd.ProjectionNeck', **neck)
    config = Config(dict(default_scope='mmpretrain', model=model))
    state = {f'backbone.{key}': value for key, value in parts.backbone.items()}
    state.update({f'neck.{key}': value for key, value in parts.neck.items()})
    with checked_output(out, checkpoint) as file:
        torch.save(dict(meta=dict(cfg=config.pretty_text, mmlgd_version=mmlgd.__version__), state_dict=state), file)
        get_student(file)
    return parts, config


def main(argv: Optional[list[str]] = None) -> None:
    """Convert, and say what became of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of the published LGD or SEED code (*.pth, *.pth.tar)')
    parser.add_argument('out', type=Path, help='file to write')
    parser.add_argument('--arch', required=True, choices=BACKBONES, help='the student')
    parser.add_argument(
        '--statistics',
        choices=PIXELS,
        help="picture statistics of its training; default: CLIP's beside a CLIP teacher, ImageNet's beside a queue",
    )
    parser.add_argument('--prefix', help='where the student is, for example student. ; default: found')
    parser.add_argument('--drop-unknown', action='store_true', help='leave out keys that have no place in ours')
    args = parser.parse_args(argv)
    parts, config = convert(args.checkpoint, args.out, args.arch, args.statistics, args.prefix, args.drop_unknown)
    print(
        f'{args.out}: {args.arch} from {parts.prefix or "(no prefix)"}: backbone, {len(parts.backbone)} tensors;',
        end=' ',
    )
    print(f'neck, {len(parts.neck)} tensors.' if parts.neck else f'no neck: {parts.no_neck}.')
    print(f'Dropped: {len(parts.dropped)} of teacher and queue, {len(parts.unknown)} unknown {parts.unknown[:10]}.')
    print(f'Pictures: RGB, mean {json.dumps(config.model.data_preprocessor.mean)}. Use it:\n')
    print(f"student = mmlgd.get_student('{args.out}')")
    print(f"backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='{args.out}', prefix='backbone.'))")


if __name__ == '__main__':
    run(main)
