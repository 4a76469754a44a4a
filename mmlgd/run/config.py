"""The config of a run, from a file, a name or an object, and what can be refused before anything is built."""

import copy
import itertools
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmlgd.checkpoints.resume import refuse_moved
from mmlgd.errors import MissingFileError
from mmlgd.utils.paths import place_of
from mmlgd.utils.substitution import refuse_substitution
from mmlgd.utils.validation import require

_STARTED = itertools.count()


def read_config(config: Union[str, Path, Config]) -> Config:
    """Read a config.

    Args:
        config (str | Path | Config): A file, the name of one in an installed package as ``'mmlgd::lgd/NAME.py'``, or a
            config, which is copied.

    Returns:
        Config: To be changed at will.

    Raises:
        MissingFileError: There is no such config.

    Examples:
        >>> read_config('mmlgd::lgd/lgd_resnet18_1xb256-coslr-200e_pictures.py').model.type
        'mmlgd.LGD'
    """
    if isinstance(config, Config):
        return copy.deepcopy(config)
    package, named, name = str(config).partition('::')
    file = _configs_of(package) / name if named else Path(config)
    if not file.is_file():
        raise MissingFileError(
            f'There is no config at {str(file)!r}. Those of mmlgd lie in {str(place_of("configs"))!r}.'
        )
    return Config.fromfile(file)


def _configs_of(package: str) -> Path:
    """Find the configs of a package without mmengine's way, which may install another version of the package."""
    if package == 'mmlgd':
        return place_of('configs')
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.origin:
        raise MissingFileError(f'{package!r} is no installed package. Install it, or give the path of a config.')
    return Path(spec.origin).parent / '.mim' / 'configs'


def set_work_dir(cfg: Config, work_dir: Optional[Union[str, Path]]) -> None:
    """Set where a run writes, in place.

    Args:
        cfg (Config): Of :func:`read_config`.
        work_dir (str | Path, optional): Folder. None takes the config's own, or ``work_dirs/CONFIG_NAME``.

    Raises:
        ConfigError: The config is one of ``mmlgd pretrain`` whose work dir was moved; or it has neither a work dir nor
            a file name.
    """
    if not work_dir and cfg.filename:
        refuse_moved(Path(cfg.filename), cfg.get('work_dir'))
        work_dir = cfg.get('work_dir') or Path('work_dirs') / Path(cfg.filename).stem
    require(
        bool(work_dir or cfg.get('work_dir')),
        'This config has no work_dir and no file name that could give one: give work_dir=FOLDER.',
    )
    cfg.work_dir = str(work_dir or cfg.work_dir)


def check_run(cfg: Config) -> None:
    """Refuse what mmengine would fail at, or not read back, without a word about the reason.

    Args:
        cfg (Config): With its ``launcher``.

    Raises:
        ConfigError: More processes on this machine than cards; or a value that mmengine would not read back as it is.
    """
    check_cards(cfg.launcher)
    refuse_substitution(cfg.to_dict())


def check_cards(launcher: str) -> None:
    """Refuse more processes on this machine than it has cards: each takes one of its own.

    Args:
        launcher (str): What has started the processes: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        ConfigError: There is no card for this process.
    """
    if launcher == 'mpi':  # mmengine reads LOCAL_RANK, and sets it for slurm alone
        os.environ.setdefault('LOCAL_RANK', os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', '0'))
    if launcher == 'none' or get_device() not in ('cuda', 'cpu', 'mps'):  # mmengine knows others' cards
        return
    wanted, found = int(os.environ.get('LOCAL_RANK', 0)) + 1, torch.cuda.device_count()
    require(
        wanted <= found,
        f'--launcher {launcher} takes a card for each process, and torch finds {found} on this machine for {wanted} or '
        f'more processes. Start as many as there are cards; without a card, one, without a launcher.',
    )


def build_runner(cfg: Config) -> Runner:
    """Build the runner that a config asks for.

    Args:
        cfg (Config): Of a whole run.

    Returns:
        Runner: mmengine's, or the one of ``runner_type``.
    """
    # mmengine tells the runs of a process apart by the second in which they start, and would mix their figures.
    if number := next(_STARTED):
        cfg.experiment_name = f'{cfg.get("experiment_name") or Path(cfg.filename or "run").stem}_{number}'
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
