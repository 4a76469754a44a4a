"""Training of any mmpretrain, mmdet, mmseg or mmlgd config, with the options that OpenMMLab users know."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional, Union

import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner

from mmlgd.checkpoints.loaders import loading_safely
from mmlgd.checkpoints.resume import resume_whole, save_whole
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.folder import folder_of, require_outside
from mmlgd.engine.numerics.ema_hook import average_student
from mmlgd.errors import ConfigError
from mmlgd.store.writer import use_store
from mmlgd.student.image_size import compare_statistics, size_evaluation
from mmlgd.utils.files import read_small, sole_writer
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.validation import require, whole

from .config import build_runner, check_run, read_config, set_work_dir

# Where launchers tell a process its rank, before there is a group of processes to ask.
_RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')


@dataclass(frozen=True)
class TrainResult:
    """What a training run has left.

    Attributes:
        work_dir (Path): Logs and checkpoints.
        checkpoint (Path, optional): The last one; None if none was written.
        losses (Dict[str, float]): Of the last step, by name; ``loss`` is their sum.
        metrics (Dict[str, float]): Of the last evaluation, by name; empty without one.
    """

    work_dir: Path
    checkpoint: Optional[Path]
    losses: dict[str, float]
    metrics: dict[str, float]


def train(
    config: Union[str, Path, Config],
    *,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    launcher: Literal['none', 'pytorch', 'slurm', 'mpi'] = 'none',
    resume: Union[bool, str] = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    student: Optional[str] = None,
    store: Optional[Union[str, Path]] = None,
    no_validate: bool = False,
) -> TrainResult:
    """Train any mmpretrain, mmdet, mmseg or mmlgd config.

    On several cards, start this function (or ``mmlgd train``) once on each card by ``torchrun`` with
    ``launcher='pytorch'``.

    Args:
        config (str | Path | Config): A config file, ``mmlgd::lgd/NAME.py`` of an installed package, or in Python a
            config, which stays as it is.
        work_dir (str | Path, optional): Folder of logs and checkpoints. Defaults to the config's, or
            ``work_dirs/CONFIG_NAME``.
        cfg_options (dict, optional): Changes of the config: ``key.subkey=value``, lists as ``key="[a,b]"`` without
            blanks. They change what ``amp`` and ``resume`` set, too.
        launcher (str): What has started this process: none, pytorch (torchrun), slurm or mpi. Defaults to none.
        resume (bool | str): Continue from this checkpoint, or from the last whole one in the work dir if none is named.
        amp (bool): Mixed precision: bf16 where the card has it, else fp16 with loss scaling.
        auto_scale_lr (bool): Scale the learning rate from the config's ``auto_scale_lr.base_batch_size``.
        student (str, optional): What ``model.backbone`` starts from: a checkpoint of LGD training (file or URL),
            another one, ``torchvision://NAME``, or ``none`` for random weights. Defaults to what the config says.
        store (str | Path, optional): Read the teacher's embeddings from this folder, see ``mmlgd store``.
        no_validate (bool): Train without evaluating.

    Returns:
        TrainResult: Where the run is, and its last figures.

    Raises:
        MissingFileError: There is no such config or checkpoint.
        ConfigError: An option or a setting of the config cannot be used here.
        LockedError: Another run writes to the work dir.

    Examples:
        >>> import mmlgd
        >>> mmlgd.train('mine.py', work_dir='runs/mine').checkpoint  # doctest: +SKIP
        PosixPath('runs/mine/epoch_200.pth')
    """
    with loading_safely():
        cfg = train_config(
            config,
            work_dir=work_dir,
            cfg_options=cfg_options,
            launcher=launcher,
            resume=resume,
            amp=amp,
            auto_scale_lr=auto_scale_lr,
            student=student,
            store=store,
            no_validate=no_validate,
        )
        if images := folder_of((cfg.get('train_dataloader') or {}).get('dataset', {})):
            require_outside(cfg.work_dir, images, 'The work dir', '--work-dir')
        # Before the runner: it writes its config into the work dir.
        rank = os.environ.get(_RANKS.get(cfg.launcher, ''), '0')
        with sole_writer(cfg.work_dir) if rank == '0' else nullcontext():
            resume_whole(cfg)
            runner = build_runner(cfg)
            runner.train()
    return _result(runner)


def train_config(
    config: Union[str, Path, Config],
    *,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    launcher: str = 'none',
    resume: Union[bool, str] = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    student: Optional[str] = None,
    store: Optional[Union[str, Path]] = None,
    no_validate: bool = False,
) -> Config:
    """Read a config and let the options of :func:`train` have the last word.

    ``cfg_options`` change what ``amp`` and ``resume`` set; the other options count with what they have changed.

    Returns:
        Config: For mmengine's runner.

    Raises:
        MissingFileError: There is no such config.
        ConfigError: ``auto_scale_lr`` without ``auto_scale_lr.base_batch_size`` in the config, a seed that is none,
            more processes than cards, mixed precision without a card, or a value that mmengine would not read back.
    """
    cfg = read_config(config)
    set_work_dir(cfg, work_dir)
    cfg.launcher = launcher
    if amp:
        cfg.optim_wrapper.update(mixed_precision())
    if resume:
        cfg.resume = True
        cfg.load_from = None if resume is True else str(resume)
    cfg.merge_from_dict(cfg_options or {})
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if auto_scale_lr:
        scale_lr(cfg)
    if store:
        use_store(cfg, store)
    size_evaluation(cfg)
    start_from(cfg, student)
    if student:
        compare_statistics(cfg, student)
    save_whole(cfg)
    average_student(cfg)
    if (seed := cfg.get('randomness', {}).get('seed')) is not None:
        seed_number(seed)
    _check_precision(cfg)
    check_run(cfg)
    return cfg


def scale_lr(cfg: Config) -> None:
    """Let mmengine scale the learning rate with the images of an update, in place.

    Args:
        cfg (Config): With ``auto_scale_lr.base_batch_size``.

    Raises:
        ConfigError: It has none; or a schedule sets the learning rate by itself.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ConfigError(
            f'--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...), missing in {cfg.filename or "the config"}.'
        )
    schedulers = cfg.get('param_scheduler') or []
    for schedule in [schedulers] if isinstance(schedulers, dict) else schedulers:
        require(
            'eta_max' not in schedule,
            f'--auto-scale-lr scales the learning rate of the optimizer, and {schedule.get("type")} of this config '
            f'sets its own from eta_max={schedule.get("eta_max")}, meant for '
            f'{cfg.auto_scale_lr.base_batch_size} images a step. Leave --auto-scale-lr out, and set eta_max in '
            f'proportion to your images a step.',
        )
    cfg.auto_scale_lr.enable = True
    # mmengine counts the images of a step; with accumulated gradients an update has several steps of them.
    steps = whole('optim_wrapper.accumulative_counts', 1, 2**20)(cfg.optim_wrapper.get('accumulative_counts', 1))
    cfg.auto_scale_lr.base_batch_size /= steps


def mixed_precision() -> dict:
    """Settings of mmengine's optimizer wrapper for the card at hand."""
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        # Its range is float32's: no scaling, and no wait for the device to find an overflow.
        return dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
    return dict(type='AmpOptimWrapper', dtype='float16', loss_scale=dict(enabled=True))


def _check_precision(cfg: Config) -> None:
    wrapper = cfg.get('optim_wrapper') or {}
    found = [getattr(amp_optimizer_wrapper, f'is_{kind}_available')() for kind in ('cuda', 'npu', 'mlu', 'musa')]
    require(
        not str(wrapper.get('type')).endswith('AmpOptimWrapper') or any(found),  # mmengine's own condition
        f'Mixed precision (--amp, or AmpOptimWrapper in the config) takes a card, and this machine has none that torch '
        f'{torch.__version__} can use. Train without it: leave --amp out, or set optim_wrapper.type=OptimWrapper. '
        f'`mmlgd doctor` looks at the card.',
    )


def _result(runner: Runner) -> TrainResult:
    """Read what the runner has logged last, and where its last checkpoint is."""
    last = {name: values.current() for name, values in runner.message_hub.log_scalars.items() if len(values.data[0])}
    losses = {name[len('train/') :]: float(value) for name, value in last.items() if name.startswith('train/')}
    metrics = {name[len('val/') :]: float(value) for name, value in last.items() if name.startswith('val/')}
    work_dir = Path(runner.work_dir)
    note = work_dir / 'last_checkpoint'
    return TrainResult(
        work_dir=work_dir,
        checkpoint=Path(read_small(note).decode().strip()) if note.is_file() else None,
        losses={name: value for name, value in losses.items() if 'loss' in name},
        metrics={name: value for name, value in metrics.items() if name not in ('time', 'data_time')},
    )
