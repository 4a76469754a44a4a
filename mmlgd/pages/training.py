"""A pre-training as its work dir has it: config, log, checkpoint. All of it is data from anybody."""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np
from mmengine.config import ConfigDict
from torch import nn

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.checkpoints.atomic_hook import INSIDE
from mmlgd.checkpoints.configs import model_config
from mmlgd.checkpoints.resume import last_whole_checkpoint
from mmlgd.datasets.folder import folder_of
from mmlgd.engine.reports.curves import Curves, read_records, read_scalars
from mmlgd.errors import ConfigError, shown
from mmlgd.student.saved import SavedStudent, loss_of
from mmlgd.utils.configs import kind_of
from mmlgd.utils.files import read_small

CONFIGS = '*/vis_data/config.py'  # in a work dir; each start of training writes one
RECIPE = 'recipe/pretrain.py'  # in a work dir of `mmlgd pretrain`
_LOG = 2**28  # bytes of a log of text
_FACT = re.compile(r'^ {4}(PyTorch|TorchVision|MMEngine|Python|GPU [\d,]+|GPU number): (.+)$', re.MULTILINE)


@dataclass
class Training:
    """A pre-training.

    Attributes:
        folder (Path): Its work dir.
        name (str): What a page calls it.
        config (ConfigDict): Its config, of its last start.
        first (Path): The config of its first start, from which it can be trained again.
        latest (Path): The config of its last start, with which it can go on.
        checkpoint (Path | None): Its last complete checkpoint.
        saved (SavedStudent | None): What is in it.
        meta (dict): What mmengine says there: ``epoch``, ``iter`` and others.
        steps_per_epoch (int): Steps of an epoch.
        curves (Curves): Its scalars over epochs.
        machine (Dict[str, str]): Versions and devices, from the head of its log.
    """

    folder: Path
    name: str
    config: ConfigDict
    first: Path
    latest: Path
    checkpoint: Optional[Path]
    saved: Optional[SavedStudent]
    meta: dict
    steps_per_epoch: int
    curves: Curves
    machine: dict[str, str]

    @property
    def steps(self) -> int:
        """int: Steps of training so far."""
        logged = round(self.curves['loss'][0][-1] * self.steps_per_epoch) if 'loss' in self.curves else 0
        return max(logged, _count(self.meta, 'iter'))

    @property
    def is_cut(self) -> bool:
        """bool: Whether its last checkpoint is from before its end: it was stopped, or still trains."""
        loop = self.config.get('train_cfg')
        ends = (('epoch', 'max_epochs'), ('iter', 'max_iters')) if self.checkpoint and isinstance(loop, dict) else ()
        return any(_count(self.meta, done) < _count(loop, end) for done, end in ends)

    @property
    def images(self) -> Optional[Path]:
        """Path | None: Its folder of images."""
        return folder_of((self.config.get('train_dataloader') or {}).get('dataset') or {})

    @property
    def images_per_step(self) -> int:
        """int: Images of a step, on all GPUs."""
        found = (self.config.get('train_dataloader') or {}).get('batch_size')
        return (found if isinstance(found, int) else 0) * self.processes

    @property
    def processes(self) -> int:
        """int: Processes that trained it together, one on each GPU."""
        told = self.machine.get('GPU number', '')
        return max(1, int(told)) if told.isdecimal() else 1

    @cached_property
    def loss(self) -> nn.Module:
        """nn.Module: Its loss, a :class:`~mmlgd.DistillationLoss`."""
        return loss_of(self.config, self.folder)

    @property
    def device(self) -> str:
        """str: Its first GPU, or CPU."""
        return next((name for key, name in self.machine.items() if re.fullmatch(r'GPU [\d,]+', key)), 'CPU')

    @cached_property
    def text(self) -> dict:
        """dict: ``class_names``, ``templates`` and ``teacher_id`` of its checkpoint; empty without."""
        return (self.saved.text() if self.saved else None) or {}

    @cached_property
    def recipe(self) -> str:
        """str: The config that ``mmlgd pretrain`` wrote for it; empty for a run of another config."""
        file = self.folder / RECIPE
        return read_small(file).decode(errors='replace') if file.is_file() else ''

    def last(self, key: str) -> Optional[float]:
        """Return the mean of a scalar over the last epoch, which is steadier than its last value.

        Args:
            key (str): The log's name.

        Returns:
            float | None: None if the log does not have it.
        """
        if key not in self.curves:
            return None
        epochs, values = self.curves[key]
        found = values[(epochs > epochs[-1] - 1) & np.isfinite(values)]
        return float(found.mean()) if len(found) else None


def read_training(folder: Path) -> Training:
    """Read a work dir of pre-training.

    Args:
        folder (Path): The work dir.

    Returns:
        Training: What is there. A run that was stopped has less.

    Raises:
        ConfigError: It is the work dir of another kind of training.
        CheckpointError: Its config is more than settings, or all its checkpoints are damaged.
    """
    *before, file = _starts(folder)
    config, first = _read_config(file), file
    while before and _read_config(first).get('resume'):
        first = before.pop()
    kind = kind_of(config['model'])
    if kind != 'LGD':
        raise ConfigError(
            f'{shown(folder)} is the work dir of a training of {shown(kind)}, expected a pre-training, of mmlgd.LGD. '
            f'Give the folder of `mmlgd prove` or `mmlgd compare` for downstream trainings.'
        )
    checkpoint = last_whole_checkpoint(folder, 'leave this folder out')
    content = read_checkpoint(checkpoint) if checkpoint else {}
    meta = content['meta'] if isinstance(content.get('meta'), dict) else {}
    per_epoch = _steps_per_epoch(folder, meta)
    return Training(
        folder=folder,
        name=shown(folder.resolve().name),
        config=config,
        first=first,
        latest=file,
        checkpoint=checkpoint,
        saved=SavedStudent(content, checkpoint) if checkpoint else None,
        meta=meta,
        steps_per_epoch=per_epoch,
        curves=read_scalars(folder, per_epoch),
        machine=_machine(file.parent.parent),
    )


def _starts(folder: Path) -> list[Path]:
    """List the configs of the starts that trained, in order; others are of `mmlgd test`, or stopped at once."""
    files = sorted(folder.glob(CONFIGS))
    logs = {file: file.with_name('scalars.json') for file in files}
    return [
        file for file, log in logs.items() if log.exists() and any('iter' in record for record in read_records(log))
    ] or files


def _read_config(file: Path) -> ConfigDict:
    config = model_config(dict(meta=dict(cfg=read_small(file).decode(errors='replace'))), file)
    for part in ('train_dataloader', 'randomness'):
        if not isinstance(config.get(part), (dict, type(None))):
            raise CheckpointError(
                f'The config in {shown(file)} has a {type(config[part]).__name__} as {part}, expected a dict. Put a '
                f'copy of it back, or leave this folder out.'
            )
    return config


def _count(meta: dict, key: str) -> int:
    found = meta.get(key)
    return found if isinstance(found, int) and found > 0 else 0


def _steps_per_epoch(folder: Path, meta: dict) -> int:
    """Of a checkpoint, written inside an epoch or at its end; without one, as the log has it so far."""
    if isinstance(inside := meta.get(INSIDE), dict) and _count(inside, 'steps'):
        return inside['steps']
    if _count(meta, 'epoch') and _count(meta, 'iter'):
        return max(1, meta['iter'] // meta['epoch'])
    records = read_records(max(folder.glob('*/vis_data/scalars.json'), default=folder / 'scalars.json'))
    pairs = [(record.get('iter'), record.get('epoch')) for record in records]
    return max((math.ceil(i / e) for i, e in pairs if isinstance(i, int) and isinstance(e, int) and e > 0), default=1)


def _machine(start: Path) -> dict[str, str]:
    """Read the head of a start's log, where mmengine describes the machine."""
    file = start / f'{start.name}.log'
    text = read_small(file, _LOG).decode(errors='replace') if file.is_file() else ''
    return dict(reversed(_FACT.findall(text)))  # the first of each counts
