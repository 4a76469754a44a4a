"""The processes of a distributed run: each takes a GPU, or all of them the CPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine import dist
from mmengine.config import Config
from mmengine.device import get_device

from mmlgd.errors import ConfigError, brief
from mmlgd.utils.validation import require

# What launchers tell a process by variables: its number among all, its number on this machine and how many there are;
# and what brings them together.
_TOLD = dict(
    pytorch=('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    slurm=('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE', 'MASTER_ADDR'),
)
_STARTERS = dict(pytorch='torchrun', slurm='srun', mpi='mpirun -x MASTER_ADDR=HOST')


def rank_told(launcher: str) -> int:
    """Read the number of this process, before there is a process group.

    Args:
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        int: 0 for the first one, and without a launcher.

    Raises:
        ConfigError: The launcher has not started this process, or what it told is no such number.

    Examples:
        >>> rank_told('none')
        0
    """
    if launcher == 'none':
        return 0
    told = {name: os.environ.get(name, '') for name in _TOLD[launcher]}
    if missing := [name for name, value in told.items() if not value]:
        raise ConfigError(
            f'--launcher {launcher} reads {", ".join(missing)} from the environment, where nothing is set. Start all '
            f'processes by {_STARTERS[launcher]}, which tells each of them; a single process needs no --launcher.'
        )
    numbers = dict(list(told.items())[:3])
    rank, local, count = (int(value) if value.isdecimal() else -1 for value in numbers.values())
    if min(rank, local) < 0 or max(rank, local) >= count:
        raise ConfigError(
            f'{", ".join(f"{name}={brief(value)!r}" for name, value in numbers.items())}: expected whole numbers, the '
            f'first two from 0 and below the third. Start all processes by {_STARTERS[launcher]}, which sets them.'
        )
    return rank


def check_cards(cfg: Config) -> None:
    """Refuse more processes on this machine than it has GPUs, unless all of them are to take the CPU.

    Args:
        cfg (Config): With its ``launcher``: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        ConfigError: There is no GPU for this process, or no launcher has started it.
    """
    launcher = cfg.launcher
    rank_told(launcher)
    if launcher == 'mpi':  # mmengine reads LOCAL_RANK, but sets it only for slurm
        os.environ.setdefault('LOCAL_RANK', os.environ['OMPI_COMM_WORLD_LOCAL_RANK'])
    if launcher == 'none' or on_cpus(cfg) or get_device() not in ('cuda', 'cpu', 'mps'):  # mmengine handles others
        return
    wanted, found = int(os.environ[_TOLD[launcher][1]]) + 1, torch.cuda.device_count()
    require(
        wanted <= found,
        f'--launcher {launcher} needs one GPU per process, but torch finds {found} on this machine for {wanted} or '
        f'more processes. Start at most one process per GPU; without a GPU, start one process without a launcher. To '
        f'try out a command for several machines on CPUs, add --cfg-options env_cfg.dist_cfg.backend=gloo.',
    )


def on_cpus(cfg: Config) -> bool:
    """Check whether the processes of a run take the CPU: there is no GPU, and their backend needs none.

    Args:
        cfg (Config): With its ``launcher``, and mmengine's ``env_cfg``.

    Returns:
        bool: False for a single process without a launcher.
    """
    backend = ((cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('backend')
    return cfg.get('launcher', 'none') != 'none' and backend == 'gloo' and get_device() == 'cpu'


def join_ranks(cfg: Config) -> None:
    """Start the communication between the processes of a launcher, unless it has been started.

    Args:
        cfg (Config): With ``launcher``, and mmengine's ``env_cfg``.

    Raises:
        ConfigError: See :func:`check_cards`; without any GPU, all processes take the CPU.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or dist.is_distributed():
        return
    settings = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    if torch.cuda.is_available():
        check_cards(cfg)
        dist.init_dist(launcher, **settings)
    else:
        rank_told(launcher)
        with _no_card_to_choose():
            dist.init_dist(launcher, **{**settings, 'backend': 'gloo'})


def prepare_cpus(cfg: Config) -> None:
    """Let mmengine's runner train on the CPU in several processes, in place; it would give each model a GPU.

    Args:
        cfg (Config): Of a run, see :func:`on_cpus`.
    """
    if on_cpus(cfg):
        join_ranks(cfg)
        wrapper = dict(  # as mmengine's own, but for the device
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
        cfg.model_wrapper_cfg = {**wrapper, **(cfg.get('model_wrapper_cfg') or {})}


@contextmanager
def _no_card_to_choose() -> Iterator[None]:
    """Keep mmengine's launchers, which choose a GPU for each process, from failing where there is none."""
    choose, torch.cuda.set_device = torch.cuda.set_device, lambda device: None
    try:
        yield
    finally:
        torch.cuda.set_device = choose
