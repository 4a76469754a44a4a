"""Evaluate a checkpoint with any mmpretrain, mmdet, mmseg or mmlgd config."""

import argparse
from pathlib import Path

import mmengine
from arguments import check_cards, common_parser, read_config
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmlgd  # noqa: F401  knows 'mmlgd::...' configs
from mmlgd.checkpoints.starts import start_from
from mmlgd.cli.tool import run_tool
from mmlgd.datasets.variables import fill_in
from mmlgd.engine.numerics.ema_hook import average_student
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.student.evaluated import use_student_of
from mmlgd.student.image_size import compare_sizes, compare_statistics, size_evaluation
from mmlgd.utils.substitution import refuse_substitution


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = common_parser(__doc__)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file; not needed where --student is all there is')
    parser.add_argument(
        '--student',
        metavar='none|torchvision://NAME|CHECKPOINT',
        help='weights of model.backbone for a model that is not trained (k-NN), as in tools/train.py',
    )
    parser.add_argument('--out', help='write the predictions to this .pkl, or the metrics to this .json')
    parser.add_argument('--show-dir', help='draw predictions into this folder')
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and let the command line have the last word.

    Raises:
        MissingFileError: There is no such config or checkpoint.
        ConfigError: ``--out`` is neither a .pkl nor a .json file, there is nothing to evaluate, or a value would not be
            read back as it is.
    """
    cfg = read_config(args)
    if not args.checkpoint and not (args.student and cfg.model.type.endswith('KNNClassifier')):
        raise ConfigError('Nothing trained to evaluate: give a checkpoint. (Only a k-NN config can do with --student.)')
    if args.checkpoint and not Path(args.checkpoint).is_file() and '://' not in args.checkpoint:
        raise MissingFileError(f'There is no checkpoint at {args.checkpoint!r}.')
    if args.out and Path(args.out).suffix not in ('.pkl', '.json'):
        raise ConfigError(f'--out takes a .pkl (predictions) or a .json (metrics), got {args.out!r}.')
    cfg.load_from = args.checkpoint
    if args.show_dir:
        # mmpretrain's hook has `enable`, mmdet's and mmseg's have `draw`; out_dir is relative to the work dir there.
        switch = 'enable' if cfg.get('default_scope') == 'mmpretrain' else 'draw'
        folder = {'mmpretrain': 'out_dir', 'mmdet': 'test_out_dir'}.get(cfg.get('default_scope'))
        cfg.default_hooks.visualization.update({switch: True, **({folder: args.show_dir} if folder else {})})
        if folder is None:
            cfg.visualizer.save_dir = args.show_dir
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    fill_in(cfg)
    use_student_of(cfg, args.checkpoint)
    size_evaluation(cfg)
    compare_sizes(cfg, args.checkpoint or args.student)
    compare_statistics(cfg, args.checkpoint or args.student)
    start_from(cfg, args.student)
    average_student(cfg)
    check_cards(cfg.launcher)
    refuse_substitution(cfg.to_dict())
    return cfg


def main() -> None:
    """Build the runner, evaluate, and write what was asked for."""
    args = parse_args()
    cfg = load_config(args)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if args.out and args.out.endswith('.pkl'):
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if args.out and args.out.endswith('.json'):
        mmengine.dump(metrics, args.out)


if __name__ == '__main__':
    run_tool(main)
