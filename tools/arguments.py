"""What train.py and test.py share: the arguments that every OpenMMLab tool has, and the config that they change."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from mmlgd.apis.resume import refuse_moved
from mmlgd.errors import MissingFileError


def common_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser of the shared arguments.

    Args:
        description (str): What the tool does, for ``--help``.

    Returns:
        argparse.ArgumentParser: To be given the tool's own arguments.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints; default: work_dirs/CONFIG_NAME')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='change settings of the config: key.subkey=value; lists as key="[a,b]", without blanks',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def read_config(args: argparse.Namespace) -> Config:
    """Read the config; the launcher and the work dir come from the command line.

    Args:
        args (argparse.Namespace): Of a :func:`common_parser`.

    Returns:
        Config: ``--cfg-options`` not merged yet: they have the last word.

    Raises:
        MissingFileError: There is no such config.
        ConfigError: It is one of ``mmlgd pretrain`` whose work dir was moved.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if '::' not in args.config and not Path(args.config).is_file():
        raise MissingFileError(f'There is no config at {args.config!r}. Those of mmlgd lie in configs/.')
    cfg = Config.fromfile(args.config)
    cfg.launcher = args.launcher
    if not args.work_dir:
        refuse_moved(Path(args.config), cfg.get('work_dir'))
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    return cfg
