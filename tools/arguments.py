"""What train.py and test.py share: the arguments that every OpenMMLab tool has, and the config that they change."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mmlgd.checkpoints.resume import refuse_moved
from mmlgd.errors import MissingFileError
from mmlgd.utils.validation import require


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
        Config: ``--cfg-options`` not merged yet: they come after what other arguments set.

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


def check_cards(launcher: str) -> None:
    """Refuse more processes on this machine than it has cards: each takes one of its own.

    Args:
        launcher (str): Of the command line.

    Raises:
        ConfigError: There is none for this process.
    """
    if launcher == 'none' or get_device() not in ('cuda', 'cpu', 'mps'):  # mmengine knows others' cards
        return
    wanted, found = int(os.environ['LOCAL_RANK']) + 1, torch.cuda.device_count()
    require(
        wanted <= found,
        f'--launcher {launcher} takes a card for each process, and torch finds {found} on this machine for {wanted} or '
        f'more processes. Start as many as there are cards; without a card, one, without a launcher.',
    )
