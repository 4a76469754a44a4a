"""Trains any mmpretrain, mmdet, mmseg or mmlgd config, with the options that OpenMMLab users know."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Optional, Union

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmlgd.errors import shown
from mmlgd.utils.files import sole_writer
from mmlgd.utils.stopping import Stopped

if TYPE_CHECKING:
    from mmengine.runner import Runner

# Large packages are imported inside functions: the help of `mmlgd train`, which reads this module, must not wait for
# them.


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    Attributes:
        work_dir (Path): Folder of logs and checkpoints.
        checkpoint (Path, optional): The last checkpoint; None if none was written.
        losses (Dict[str, float]): Losses of the last step by name; ``loss`` is their sum.
        metrics (Dict[str, float]): Metrics of the last evaluation by name; empty without an evaluation.
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
    resume: Union[bool, str, Path] = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    student: Optional[Union[str, Path]] = None,
    store: Optional[Union[str, Path]] = None,
    guide: Optional[str] = None,
    names: Optional[Union[list[str], str, Path, dict]] = None,
    no_validate: bool = False,
) -> TrainResult:
    """Train any mmpretrain, mmdet, mmseg or mmlgd config.

    For several GPUs, start it once per GPU: ``torchrun --nproc_per_node GPUS -m mmlgd.cli train CONFIG --launcher
    pytorch``.

    Args:
        config (str | Path | Config): A config file, or ``mmlgd::lgd/NAME.py`` of an installed package. In Python it can
            also be a config, which is not changed.
        work_dir (str | Path, optional): Folder for logs and checkpoints. Defaults to the config's, or
            ``work_dirs/CONFIG_NAME``.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``; a list is ``key="[a,b]"``, without
            spaces. They override what ``amp`` and ``resume`` set.
        launcher (str): The launcher of this process: none, pytorch (torchrun), slurm or mpi. Defaults to none.
        resume (bool | str | Path): Continue from this checkpoint, or from the last complete one in the work dir if
            none is given.
        amp (bool): Mixed precision: bf16 if the GPU has it, else fp16 with loss scaling.
        auto_scale_lr (bool): Scale the learning rate from the config's ``auto_scale_lr.base_batch_size``.
        student (str | Path, optional): Start of ``model.backbone``: a checkpoint of LGD training (file or URL), another
            checkpoint, ``torchvision://NAME``, or ``none`` for random weights. Defaults to the config's start.
        store (str | Path, optional): Read the teacher's embeddings from this folder, see ``mmlgd store``.
        guide (str | dict, optional): Keep a teacher on while a detector, segmentor or classifier is trained: conse,
            MODEL[:TAG[:FILE]] of open_clip, or two as WORDS+LOOKS. In Python it can also be the teacher's settings.
        names (str | Path | list | dict, optional): Names of the classes for the guide, in their order: a text file, a
            known set, or the names themselves. Defaults to those of the data set.
        no_validate (bool): Train without evaluating.

    Returns:
        TrainResult: Paths and last values of the run.

    Raises:
        MissingFileError: The config or checkpoint does not exist.
        ConfigError: An option or a setting of the config cannot be used here.
        LockedError: Another run writes to the work dir.

    Examples:
        >>> import mmlgd
        >>> mmlgd.train('mine.py', work_dir='runs/mine').checkpoint  # doctest: +SKIP
        PosixPath('runs/mine/epoch_200.pth')
    """
    options = dict(locals())
    from mmlgd.checkpoints.loaders import loading_safely
    from mmlgd.checkpoints.resume import resume_whole
    from mmlgd.datasets.folder import folder_of, require_outside

    from .config import build_runner
    from .labelled import check_labelled
    from .looks import settle_statistics, take_statistics
    from .ranks import rank_told
    from .train_options import train_config

    with loading_safely():
        cfg = train_config(**options)
        if images := folder_of((cfg.get('train_dataloader') or {}).get('dataset', {})):
            require_outside(cfg.work_dir, images, 'The work dir', '--work-dir')
        check_labelled(cfg)
        # Before building the runner, which writes its config into the work dir.
        with nullcontext() if rank_told(cfg.launcher) else sole_writer(cfg.work_dir):
            resume_whole(cfg)
            take_statistics(cfg, cfg.get('load_from'))
            settle_statistics(cfg)
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):  # the caller's stays
                runner = build_runner(cfg)
                try:
                    runner.train()
                except Stopped as stop:
                    stop.safe = _safe(runner, stop)
                    raise
    return _result(runner)


def _safe(runner: 'Runner', stop: Stopped) -> str:
    """Write a checkpoint of a run that was stopped, if it can go on from there, and say which one is safe."""
    from mmengine.dist import get_world_size

    from mmlgd.checkpoints.atomic_hook import AtomicCheckpointHook
    from mmlgd.engine import ProgressHook

    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.after_train(runner)  # the bar would stand in the way of what is said
    saved = None
    if not stop.is_cut and get_world_size() == 1:  # other ranks may have stopped after another step
        for hook in runner.hooks:
            if isinstance(hook, AtomicCheckpointHook):
                saved = hook.save_stopped(runner)
    where = f'Stopped after step {runner.iter} of {runner.max_iters}'
    where += f', in epoch {runner.epoch + 1}. ' if runner.max_epochs > 1 else '. '
    if saved:
        return f'{where}Nothing is lost: {shown(saved)} has it.'
    last = runner.message_hub.runtime_info.get('last_ckpt')
    if last:
        return f'{where}The last checkpoint is safe: {shown(last)}.'
    return f'{where}There is no checkpoint yet, so the run starts again from its beginning.'


def _result(runner: 'Runner') -> TrainResult:
    """Read the runner's last logged values and its last checkpoint."""
    from mmlgd.checkpoints.last import checkpoints_of

    last = {name: values.current() for name, values in runner.message_hub.log_scalars.items() if len(values.data[0])}
    losses = {name[len('train/') :]: float(value) for name, value in last.items() if name.startswith('train/')}
    metrics = {name[len('val/') :]: float(value) for name, value in last.items() if name.startswith('val/')}
    work_dir = Path(runner.work_dir)
    return TrainResult(
        work_dir=work_dir,
        checkpoint=next(iter(checkpoints_of(work_dir)), None),
        losses={name: value for name, value in losses.items() if 'loss' in name},
        metrics={name: value for name, value in metrics.items() if name not in ('time', 'data_time')},
    )
