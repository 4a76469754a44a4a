"""The config of a run: its work dir, checks before anything is built, and its runner."""

import itertools
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmlgd.checkpoints.resume import refuse_moved
from mmlgd.utils.configs import kind_of
from mmlgd.utils.substitution import refuse_substitution
from mmlgd.utils.validation import require

from .ranks import check_cards, prepare_cpus
from .terminal import QuietRunner

_STARTED = itertools.count()


def set_work_dir(cfg: Config, work_dir: Optional[Union[str, Path]]) -> None:
    """Set where a run writes, in place.

    Args:
        cfg (Config): From :func:`~mmlgd.utils.configs.read_config`.
        work_dir (str | Path, optional): The work dir. None uses the config's own, or ``work_dirs/CONFIG_NAME``.

    Raises:
        ConfigError: The config is from ``mmlgd pretrain`` and its work dir was moved; or it has neither a work dir nor
            a file name.
    """
    if not work_dir and cfg.filename:
        refuse_moved(Path(cfg.filename), cfg.get('work_dir'))
        work_dir = cfg.get('work_dir') or Path('work_dirs') / Path(cfg.filename).stem
    require(
        bool(work_dir or cfg.get('work_dir')),
        'This config has neither a work_dir nor a file name to derive it from: give work_dir=FOLDER.',
    )
    cfg.work_dir = str(work_dir or cfg.work_dir)


def check_run(cfg: Config) -> None:
    """Refuse settings with which mmengine would fail, or which it would not read back, without an explanation.

    Args:
        cfg (Config): The config, with its ``launcher``.

    Raises:
        ConfigError: There are more processes on this machine than GPUs; or mmengine would not read a value back
            unchanged.
    """
    check_cards(cfg)
    refuse_substitution(cfg.to_dict())


def say_start(cfg: Config) -> None:
    """Let a training say at its start what it does and how long it takes, in place.

    Args:
        cfg (Config): Of any training.

    Examples:
        >>> cfg = Config(dict(model=dict()))
        >>> say_start(cfg)
        >>> cfg.default_hooks
        {'start': {'type': 'mmlgd.StartHook'}}
    """
    cfg.default_hooks = {'start': dict(type='mmlgd.StartHook'), **(cfg.get('default_hooks') or {})}


def stop_between_steps(cfg: Config) -> None:
    """Replace mmengine's loops of training in a config by ours, which a signal stops between two steps, in place.

    Args:
        cfg (Config): Of any training. A loop of another type stays.

    Examples:
        >>> cfg = Config(dict(train_cfg=dict(by_epoch=True, max_epochs=3)))
        >>> stop_between_steps(cfg)
        >>> cfg.train_cfg
        {'max_epochs': 3, 'type': 'mmlgd.EpochTrainLoop'}
    """
    loop = cfg.get('train_cfg')
    if loop:
        ours = dict(EpochBasedTrainLoop='mmlgd.EpochTrainLoop', IterBasedTrainLoop='mmlgd.IterTrainLoop')
        by_steps = 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'
        given = by_steps if 'by_epoch' in loop else kind_of(loop)
        if given in ours and 'runner_type' not in cfg:
            rest = {key: value for key, value in loop.items() if key not in ('type', 'by_epoch')}
            cfg.train_cfg = dict(rest, type=ours[given])


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config.

    Args:
        cfg (Config): The complete config of a run.

    Returns:
        Runner: mmengine's runner, or the one of ``runner_type``.
    """
    # mmengine names the runs of a process by their start time in seconds, and would mix their logs.
    if number := next(_STARTED):
        cfg.experiment_name = f'{cfg.get("experiment_name") or Path(cfg.filename or "run").stem}_{number}'
    prepare_cpus(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else QuietRunner.from_cfg(cfg)
