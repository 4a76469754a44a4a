"""Extract the student of an LGD checkpoint for another library, checked with that library's own class.

mmpretrain, mmdet and mmseg get a file with `backbone.` keys for `init_cfg=dict(type='Pretrained', ...)`; torchvision
and timm a bare state dict in their own names. The library builds the model, loads the weights strictly and must give
the student's features on a random picture; before that, nothing is written.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Optional

import torch
from checked_output import checked_output, run
from openmmlab_targets import openmmlab_targets
from plain_targets import plain_target
from student_target import StudentTarget

import mmlgd
from mmlgd.checkpoints import CheckpointError, model_config, part_weights, read_checkpoint, state_dict_of
from mmlgd.models.banks import read_text_state
from mmlgd.student import get_student
from mmlgd.student.image_size import image_size

OPENMMLAB = ('mmpretrain', 'mmdet', 'mmseg')
PLAIN = ('torchvision', 'timm')


def extract(checkpoint: str, out: Path, to: str) -> StudentTarget:
    """Write a student for another library.

    Args:
        checkpoint (str): Of LGD training or of ``publish_model.py``; a file or URL.
        out (Path): The file to write.
        to (str): ``'mmpretrain'``, ``'mmdet'``, ``'mmseg'``, ``'torchvision'`` or ``'timm'``.

    Returns:
        StudentTarget: What was written.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ImportError: The library is not installed.
        CheckpointError: The checkpoint is cut off or has no student, or the library cannot hold it.
    """
    content = read_checkpoint(checkpoint)
    state = state_dict_of(content)
    # Before another library sees the weights: what is wrong with the checkpoint itself is said in our names.
    get_student(checkpoint)
    weights = part_weights(state, 'backbone', checkpoint)
    config = model_config(content, checkpoint)
    backbone = dict(config.model.backbone)
    if '.' not in backbone['type']:
        backbone['type'] = f'{config.get("default_scope", "mmpretrain")}.{backbone["type"]}'
    target = _first_that_fits(checkpoint, to, backbone, weights, image_size(config))

    if to in OPENMMLAB:
        text = read_text_state(state, checkpoint) if 'textual_bank._extra_state' in state else {}
        meta = dict(
            mmlgd_version=mmlgd.__version__, teacher_id=text.get('teacher_id'), class_names=text.get('class_names')
        )
        result = dict(meta=meta, state_dict={f'backbone.{key}': value for key, value in target.weights.items()})
    else:
        result = target.weights
    with checked_output(out, checkpoint) as file:
        torch.save(result, file)
        target.weights = state_dict_of(read_checkpoint(file))
        if to in OPENMMLAB:
            target.weights = part_weights(target.weights, 'backbone', out)
        target.load(str(out))  # once more, now out of the file
    return target


def _first_that_fits(checkpoint: str, to: str, backbone: dict, weights: dict, size: tuple[int, int]) -> StudentTarget:
    if to in OPENMMLAB:
        builders = openmmlab_targets(to, backbone, weights)
    else:
        builders = [partial(plain_target, to, backbone, weights)]
    refusals = []
    for build in builders:
        try:
            target = build()
            target.load(checkpoint)
            student = get_student(checkpoint, **({'out_indices': target.stages} if target.stages else {}))
            target.compare(student, size, checkpoint)
            return target
        except CheckpointError as error:
            refusals.append(str(error))
    raise CheckpointError(' '.join(refusals))


def main(argv: Optional[list[str]] = None) -> None:
    """Extract, and say how to use the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of LGD training (epoch_*.pth), publish_model.py or from_published.py')
    parser.add_argument('out', type=Path, help='file to write, for example student.pth')
    parser.add_argument('--to', required=True, choices=OPENMMLAB + PLAIN, help='the library that is to use it')
    args = parser.parse_args(argv)
    target = extract(args.checkpoint, args.out, args.to)
    print(f'{args.out}: {len(target.weights)} tensors; {args.to} loads them strictly and gives the same features.')
    if target.note:
        print(target.note)
    print(f'Use it:\n\n{target.usage.replace("OUT", str(args.out))}')


if __name__ == '__main__':
    run(main)
