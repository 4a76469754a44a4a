"""Publish an LGD checkpoint: student, neck, both banks, class names and config, and nothing else.

Optimizer, schedulers, logs and queues of pictures (SEED's) are dropped. The file is named CONFIG_YYYYMMDD-HASH8.pth
after its own SHA-256, which torch checks on download, and loads with `weights_only=True` even without mmlgd.
"""

import argparse
import hashlib
import io
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Optional

import torch
from checked_output import checked_output, run

import mmlgd
from mmlgd.checkpoints import CheckpointError, model_config, part_weights, read_checkpoint, state_dict_of
from mmlgd.models.banks import read_text_state
from mmlgd.models.base_bank import QUEUED, saved_role
from mmlgd.student import get_student, get_zero_shot_classifier

KEPT = ('backbone', 'neck', 'textual_bank', 'visual_bank')


def publish(checkpoint: str, out_dir: Path, name: Optional[str] = None) -> tuple[Path, Counter]:
    """Write the published file.

    Args:
        checkpoint (str): Of LGD training; a file or URL.
        out_dir (Path): Folder to write to.
        name (str, optional): Of the config. Defaults to None, the one that mmengine's runner left in the checkpoint.

    Returns:
        Tuple[Path, Counter]: The file, and how many tensors of which other parts were dropped.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: The checkpoint is cut off or has no student, or does not name its config.
    """
    content = read_checkpoint(checkpoint)
    state = state_dict_of(content)
    part_weights(state, 'backbone', checkpoint)
    model_config(content, checkpoint)
    parts = {key: key.partition('.')[0] for key in state}
    # A queue says nothing of the student, and one of 65,536 images is five times its size.
    kept = {part for part in KEPT if saved_role(state, part) != QUEUED}
    meta = content['meta']
    text = read_text_state(state, checkpoint) if 'textual_bank._extra_state' in state else {}
    data = _serialize(
        dict(
            meta=dict(
                cfg=meta['cfg'],
                mmlgd_version=mmlgd.__version__,
                class_names=text.get('class_names'),
                epoch=meta.get('epoch'),
                iter=meta.get('iter'),
            ),
            state_dict={key: state[key] for key, part in parts.items() if part in kept},
        )
    )
    digest = hashlib.sha256(data).hexdigest()[:8]
    out = out_dir / f'{_config_name(meta, name, checkpoint)}_{datetime.now():%Y%m%d}-{digest}.pth'
    with checked_output(out, checkpoint) as file:
        file.write_bytes(data)
        get_student(file)
        if text:
            get_zero_shot_classifier(file)
    return out, Counter(part for part in parts.values() if part not in kept)


def _serialize(content: dict) -> bytes:
    """Save into memory: in a file, torch writes the file's name too, and the hash would depend on it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _config_name(meta: dict, name: Optional[str], source: str) -> str:
    if name:
        return Path(name).name.removesuffix('.py')
    named = re.fullmatch(r'(.+)_\d{8}_\d{6}', str(meta.get('experiment_name')))  # mmengine adds the time of the start
    if not named:
        raise CheckpointError(
            f'{source} does not name its config: meta.experiment_name is {meta.get("experiment_name")!r}, expected is '
            f'CONFIG_YYYYMMDD_HHMMSS. Give the name: --name lgd_resnet18_8xb256-coslr-200e_in1k.'
        )
    if not re.fullmatch(r'\w[\w.+-]*', named.group(1)):  # a path of somebody else's choice
        raise CheckpointError(
            f'{source} names its config {named.group(1)!r}, which is no name of a file. Give the name: --name '
            f'lgd_resnet18_8xb256-coslr-200e_in1k.'
        )
    return named.group(1)


def main(argv: Optional[list[str]] = None) -> None:
    """Publish, and say how to use the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of LGD training (epoch_*.pth)')
    parser.add_argument('out_dir', type=Path, help='folder to write to; created if missing')
    parser.add_argument(
        '--name', help='name of the config, first part of the file name; default: as the checkpoint says'
    )
    args = parser.parse_args(argv)
    out, dropped = publish(args.checkpoint, args.out_dir, args.name)
    print(f'{out}: {out.stat().st_size / 2**20:.1f} MiB; get_student and weights_only loading work.')
    if dropped:
        listed = ', '.join(f'{part}.* ({count})' for part, count in dropped.items())
        print(f'Dropped from the state dict: {listed}.')
    print('The config inside is that of the run, with its paths. Use it:\n')
    print(f"student = mmlgd.get_student('{out}')")
    print(f"backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='{out}', prefix='backbone.'))")


if __name__ == '__main__':
    run(main)
