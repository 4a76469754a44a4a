"""Publishes a checkpoint of training: only student, neck, path of places, both banks, class names and config.

Optimizer, schedulers, logs and SEED's queues of images are dropped. The file is named CONFIG_YYYYMMDD-HASH8.pth after
its own SHA-256, which torch checks on download; it loads with `weights_only=True` even without mmlgd.
"""

import hashlib
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Optional, Union

from mmlgd.version import __version__

from .written import Written, saved, whole_output

# Large packages are imported inside functions: the help of `mmlgd publish`, which reads this module, must not wait for
# them.

_RECIPE = 'recipe/pretrain.py'  # of `mmlgd pretrain`, in its work dir
KEPT = ('backbone', 'neck', 'places', 'textual_bank', 'visual_bank')


def publish(checkpoint: Union[str, Path], out_dir: Union[str, Path], *, name: Optional[str] = None) -> Written:
    """Publish a checkpoint without the parts that only training needs.

    Student, banks, names and config stay. The file is named ``CONFIG_YYYYMMDD-HASH8.pth`` after its own SHA-256, which
    every download is checked against.

    Args:
        checkpoint (str | Path): A checkpoint of training, as a file or URL.
        out_dir (str | Path): Folder for the file; created if missing.
        name (str, optional): Name of the config, the first part of the file name. Defaults to the name in the
            checkpoint, and for one of `mmlgd pretrain` to the folder of the run.

    Returns:
        Written: The file; its student and names have been built from it as a check.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        CheckpointError: The checkpoint is truncated, has no student, or does not name its config.
    """
    from mmlgd.checkpoints import part_weights, read_checkpoint
    from mmlgd.models.base_bank import QUEUED, saved_role
    from mmlgd.student import Student
    from mmlgd.student.saved import SavedStudent

    content = read_checkpoint(checkpoint)
    source = SavedStudent(content, checkpoint)
    part_weights(source.state, 'backbone', checkpoint)  # an error if there are none
    text = source.text() or {}
    parts = {key: key.partition('.')[0] for key in source.state}
    # A queue is not part of the student, and with 65,536 images it is five times as large.
    kept = {part for part in KEPT if saved_role(source.state, part) != QUEUED}
    meta = content['meta']
    data = saved(
        dict(
            meta=dict(
                cfg=meta['cfg'],
                mmlgd_version=__version__,
                class_names=text.get('class_names'),
                epoch=meta.get('epoch'),
                iter=meta.get('iter'),
            ),
            state_dict={key: source.state[key] for key, part in parts.items() if part in kept},
        )
    )
    digest = hashlib.sha256(data).hexdigest()[:8]
    config = _config_name(meta, name, checkpoint)
    out = Path(out_dir) / f'{config}_{datetime.now():%Y%m%d}-{digest}.pth'
    with whole_output(out, checkpoint) as file:
        file.write_bytes(data)
        Student(file, device='cpu')  # also checks the names, if there is a bank
    dropped = Counter(part for part in parts.values() if part not in kept)
    listed = ', '.join(f'{part}.* ({count})' for part, count in dropped.items())
    return Written(
        file=out,
        content=f'{len(data) / 2**20:.1f} MiB',
        check='get_student and weights_only loading work',
        notes=(
            *([f'Dropped from the state dict: {listed}.'] if dropped else []),
            'The file contains the config of the run, with its paths.',
        ),
        usage=(
            f'student = mmlgd.get_student({str(out)!r})\n'
            f"backbone = dict(init_cfg=dict(type='Pretrained', checkpoint={str(out)!r}, prefix='backbone.'))"
        ),
    )


def _config_name(meta: dict, name: Optional[str], source: Union[str, Path]) -> str:
    from mmlgd.checkpoints import CheckpointError

    if name:
        return Path(name).name.removesuffix('.py')
    named = re.fullmatch(r'(.+)_\d{8}_\d{6}', str(meta.get('experiment_name')))  # mmengine appends the start time
    if not named:
        raise CheckpointError(
            f'{source} does not name its config: meta.experiment_name is {meta.get("experiment_name")!r}, expected '
            f'CONFIG_YYYYMMDD_HHMMSS. Give the name: --name lgd_resnet18_8xb256-coslr-200e_in1k.'
        )
    config, folder = named.group(1), Path(source).absolute().parent
    if config == Path(_RECIPE).stem and (folder / _RECIPE).is_file():
        # All runs of `mmlgd pretrain` have a config of this name. A folder may have blanks in its own.
        config = re.sub(r'[^\w.+-]+', '_', folder.name)
    if not re.fullmatch(r'\w[\w.+-]*', config):  # an untrusted value, which could be a path
        raise CheckpointError(
            f'{source} names its config {config!r}, which is not a file name. Give the name: --name '
            f'lgd_resnet18_8xb256-coslr-200e_in1k.'
        )
    return config
