"""Applies the options of a training run to its config."""

from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper

from mmlgd.checkpoints.files import require_source
from mmlgd.checkpoints.resume import save_whole
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import fill_in
from mmlgd.errors import ConfigError, brief
from mmlgd.models.precision import mixed_precision
from mmlgd.store.writer import use_store
from mmlgd.student.image_size import compare_statistics, size_evaluation
from mmlgd.utils.configs import kind_of, merge_options, read_config
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.validation import require, whole

from .config import check_run, say_start, set_work_dir, stop_between_steps
from .guiding import add_guide, check_images
from .rates import rate_schedules, refuse_empty_schedules, refuse_overridden_rates, refuse_unknown_optimizer


def train_config(
    config: Union[str, Path, Config],
    *,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    launcher: str = 'none',
    resume: Union[bool, str, Path] = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    student: Optional[Union[str, Path]] = None,
    store: Optional[Union[str, Path]] = None,
    guide: Union[str, dict, None] = None,
    names: Union[str, Path, list, dict, None] = None,
    no_validate: bool = False,
) -> Config:
    """Read a config and apply the options of :func:`mmlgd.train`, which take precedence.

    ``cfg_options`` override what ``amp``, ``resume``, ``guide`` and ``names`` set; the other options are applied to the
    result.

    Returns:
        Config: Config for mmengine's runner.

    Raises:
        MissingFileError: The config does not exist.
        ConfigError: ``auto_scale_lr`` without ``auto_scale_lr.base_batch_size`` in the config, a schedule that
            overrides the rates of parts of the model, an invalid seed, more processes than GPUs, mixed precision
            without a GPU, or a value that mmengine would not read back.
    """
    cfg = read_config(config)
    set_work_dir(cfg, work_dir)
    cfg.launcher = launcher
    if amp:
        cfg.optim_wrapper.update(mixed_precision())
    if resume:
        cfg.resume = True
        cfg.load_from = None if resume is True else str(resume)
    add_guide(cfg, guide, names)  # first: --cfg-options may change the teacher that it names
    merge_options(cfg, cfg_options)
    is_guided = kind_of(cfg.model) == 'Guided'
    require(
        is_guided or 'guide' not in cfg.model,
        f'model.guide has {brief(cfg.model.get("guide"))} and no model to guide: give its teacher, as in '
        f'--guide conse, or leave these --cfg-options out.',
    )
    if is_guided:
        # Hooks that switch pipelines have one.
        check_images([cfg.get('train_dataloader'), cfg.get('custom_hooks')], cfg.get('default_scope'))
    fill_in(cfg)
    refuse_unknown_optimizer(cfg)
    refuse_overridden_rates(cfg)
    refuse_empty_schedules(cfg)
    if no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if auto_scale_lr:
        scale_lr(cfg)
    if store:
        use_store(cfg, store)
    size_evaluation(cfg)
    if student is not None:
        require_source(student)
    start_from(cfg, student and str(student))
    if student:
        compare_statistics(cfg, str(student))
    save_whole(cfg)
    say_start(cfg)
    stop_between_steps(cfg)
    if (seed := cfg.get('randomness', {}).get('seed')) is not None:
        seed_number(seed)
    _check_precision(cfg)
    check_run(cfg)
    return cfg


def scale_lr(cfg: Config) -> None:
    """Let mmengine scale the learning rate with the number of images per update, in place.

    Args:
        cfg (Config): A config with ``auto_scale_lr.base_batch_size``.

    Raises:
        ConfigError: It has no base_batch_size; or a schedule sets the learning rate itself.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ConfigError(
            f'--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...), missing in {cfg.filename or "the config"}.'
        )
    for _, schedule in rate_schedules(cfg):
        require(
            'eta_max' not in schedule,
            f'--auto-scale-lr scales the learning rate of the optimizer, but {schedule.get("type")} of this config '
            f'sets its own from eta_max={schedule.get("eta_max")}, for {cfg.auto_scale_lr.base_batch_size} images per '
            f'step. Leave --auto-scale-lr out, and set eta_max in proportion to your images per step.',
        )
    cfg.auto_scale_lr.enable = True
    # mmengine counts the images of one step; with accumulated gradients an update has several steps.
    steps = whole('optim_wrapper.accumulative_counts', 1, 2**20)(cfg.optim_wrapper.get('accumulative_counts', 1))
    cfg.auto_scale_lr.base_batch_size /= steps


def _check_precision(cfg: Config) -> None:
    wrapper = cfg.get('optim_wrapper') or {}
    found = [getattr(amp_optimizer_wrapper, f'is_{kind}_available')() for kind in ('cuda', 'npu', 'mlu', 'musa')]
    require(
        not str(wrapper.get('type')).endswith('AmpOptimWrapper') or any(found),  # mmengine's own condition
        f'Mixed precision (--amp, or AmpOptimWrapper in the config) needs a GPU, but this machine has none that torch '
        f'{torch.__version__} can use. Train without it: leave --amp out, or set optim_wrapper.type=OptimWrapper; '
        f'type=mmlgd.Bfloat16OptimWrapper is for CPUs that multiply bf16. `mmlgd doctor` checks the GPU.',
    )
