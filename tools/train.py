"""Train any mmpretrain, mmdet, mmseg or mmlgd config, with the arguments that OpenMMLab users know."""

import argparse
import os
from contextlib import nullcontext

import torch
from arguments import check_cards, common_parser, read_config
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmlgd  # noqa: F401  knows 'mmlgd::...' configs, and makes --resume work on torch >= 2.6
from mmlgd.checkpoints.resume import resume_whole, save_whole
from mmlgd.checkpoints.starts import start_from
from mmlgd.cli.tool import run_tool
from mmlgd.datasets.folder import folder_of, require_outside
from mmlgd.datasets.variables import fill_in
from mmlgd.engine.numerics.ema_hook import average_student
from mmlgd.errors import ConfigError
from mmlgd.models.precision import mixed_precision
from mmlgd.store.writer import use_store
from mmlgd.student.image_size import compare_statistics, size_evaluation
from mmlgd.utils.files import sole_writer
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.substitution import refuse_substitution
from mmlgd.utils.validation import require, whole

# Where launchers tell a process its rank, before there is a group of processes to ask.
_RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = common_parser(__doc__)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the last whole one in the work dir if none is named',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: bf16 where the card has it, else fp16 with loss scaling'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help="scale the lr from the config's auto_scale_lr.base_batch_size"
    )
    parser.add_argument(
        '--student',
        metavar='none|torchvision://NAME|CHECKPOINT',
        help='what model.backbone starts from: a checkpoint of LGD training (file or URL), another one, or nothing',
    )
    parser.add_argument('--store', metavar='DIR', help='read the teacher from this store (tools/store_teacher.py)')
    parser.add_argument('--no-validate', action='store_true', help='train without evaluating')
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and let the command line have the last word.

    ``--cfg-options`` change what ``--amp`` and ``--resume`` set; the other arguments count with what they have changed.

    Raises:
        MissingFileError: There is no such config.
        ConfigError: ``--auto-scale-lr`` without ``auto_scale_lr.base_batch_size`` in the config, a seed that is none,
            more processes than cards, mixed precision without a card, or a value that mmengine would not read back as
            it is.
    """
    cfg = read_config(args)
    if args.amp:
        cfg.optim_wrapper.update(mixed_precision())
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    fill_in(cfg)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ConfigError(
                f'--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...), missing in {args.config}.'
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
        # mmengine counts the pictures of a step; with accumulated gradients an update has several steps of them.
        steps = whole('optim_wrapper.accumulative_counts', 1, 2**20)(cfg.optim_wrapper.get('accumulative_counts', 1))
        cfg.auto_scale_lr.base_batch_size /= steps
    if args.store:
        use_store(cfg, args.store)
    size_evaluation(cfg)
    start_from(cfg, args.student)
    if args.student:
        compare_statistics(cfg, args.student)
    save_whole(cfg)
    average_student(cfg)
    check(cfg)
    return cfg


def check(cfg: Config) -> None:
    """Refuse what mmengine would fail at, or not read back, without a word about the reason.

    Raises:
        ConfigError: See :func:`load_config`.
    """
    check_cards(cfg.launcher)
    if (seed := cfg.get('randomness', {}).get('seed')) is not None:
        seed_number(seed)
    wrapper = cfg.get('optim_wrapper') or {}
    found = [getattr(amp_optimizer_wrapper, f'is_{kind}_available')() for kind in ('cuda', 'npu', 'mlu', 'musa')]
    require(
        not str(wrapper.get('type')).endswith('AmpOptimWrapper') or any(found),  # mmengine's own condition
        f'Mixed precision (--amp, or AmpOptimWrapper in the config) takes a card, and this machine has none that torch '
        f'{torch.__version__} can use. Train without it: leave --amp out, or set optim_wrapper.type=OptimWrapper. '
        f'`mmlgd doctor` looks at the card.',
    )
    refuse_substitution(cfg.to_dict())


def main() -> None:
    """Build the runner and train."""
    cfg = load_config(parse_args())
    if images := folder_of((cfg.get('train_dataloader') or {}).get('dataset', {})):
        require_outside(cfg.work_dir, images, 'The work dir', '--work-dir')
    # Before the runner: it writes its config into the work dir.
    rank = os.environ.get(_RANKS.get(cfg.launcher, ''), '0')
    with sole_writer(cfg.work_dir) if rank == '0' else nullcontext():
        resume_whole(cfg)
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
        runner.train()


if __name__ == '__main__':
    run_tool(main)
