"""Evaluates a checkpoint on the test set of any mmpretrain, mmdet, mmseg or mmlgd config."""

import os
from pathlib import Path
from typing import Literal, Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from mmlgd.errors import ConfigError
from mmlgd.utils.files import require_writable

# Large packages are imported inside functions: the help of `mmlgd test`, which reads this module, must not wait for
# them.


def test(
    config: Union[str, Path, Config],
    checkpoint: Union[str, Path],
    *,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    launcher: Literal['none', 'pytorch', 'slurm', 'mpi'] = 'none',
    out: Optional[Union[str, Path]] = None,
    show_dir: Optional[Union[str, Path]] = None,
) -> dict[str, float]:
    """Evaluate a checkpoint on the test set of a config: of mmpretrain, mmdet, mmseg or mmlgd.

    Without a test set in the config, the validation set is evaluated; the log says so.

    Args:
        config (str | Path | Config): A config file, or ``mmlgd::lgd/NAME.py`` of an installed package. In Python it can
            also be a config, which is not changed.
        checkpoint (str | Path): The checkpoint, as a file or URL.
        work_dir (str | Path, optional): Folder for logs. Defaults to the config's, or ``work_dirs/CONFIG_NAME``.
        cfg_options (dict, optional): Changes to the config, ``key.subkey=value``; a list is ``key="[a,b]"``, without
            spaces.
        launcher (str): The launcher of this process: none, pytorch (torchrun), slurm or mpi. Defaults to none.
        out (str | Path, optional): Write the predictions to this .pkl, or the metrics to this .json.
        show_dir (str | Path, optional): Draw predictions into this folder.

    Returns:
        Dict[str, float]: Metrics by name, from mmengine's evaluator.

    Raises:
        MissingFileError: The config or checkpoint does not exist.
        ConfigError: An option or a setting of the config cannot be used here.

    Examples:
        >>> import mmlgd
        >>> mmlgd.test('mine.py', 'runs/mine/epoch_200.pth')  # doctest: +SKIP
        {'accuracy/top1': 71.4}
    """
    options = dict(locals())
    import mmengine
    from mmengine.evaluator import DumpResults

    from mmlgd.checkpoints.loaders import loading_safely

    from .config import build_runner
    from .labelled import check_labelled

    with loading_safely():
        cfg = test_config(**options)
        check_labelled(cfg, ['test_dataloader'])
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):  # the caller's stays
            runner = build_runner(cfg)
            if out and Path(out).suffix == '.pkl':
                runner.test_evaluator.metrics.append(DumpResults(out_file_path=str(out)))
            metrics = runner.test()
    if out and Path(out).suffix == '.json':
        mmengine.dump(metrics, str(out))
    return metrics


def test_config(
    config: Union[str, Path, Config],
    checkpoint: Union[str, Path],
    *,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    launcher: str = 'none',
    out: Optional[Union[str, Path]] = None,
    show_dir: Optional[Union[str, Path]] = None,
) -> Config:
    """Read a config and apply the options of :func:`test`, which take precedence.

    Returns:
        Config: Config for mmengine's runner.

    Raises:
        MissingFileError: The config or checkpoint does not exist.
        ConfigError: The config has nothing to evaluate, ``out`` is neither a .pkl nor a .json file, or mmengine would
            not read a value back unchanged.
    """
    from mmlgd.checkpoints.files import no_checkpoint, require_source
    from mmlgd.datasets.variables import fill_in
    from mmlgd.models.guided import unguided
    from mmlgd.student.evaluated import use_student_of
    from mmlgd.student.image_size import compare_sizes, compare_statistics, size_evaluation
    from mmlgd.utils.configs import merge_options, read_config

    from .config import check_run, set_work_dir
    from .inputs import path_of
    from .looks import take_statistics

    cfg = read_config(config)
    set_work_dir(cfg, work_dir)
    cfg.launcher = launcher
    require_source(checkpoint)
    if '://' not in str(checkpoint):
        checkpoint = path_of(checkpoint)
        if not os.path.isfile(checkpoint):  # a name may be too long for Path
            raise no_checkpoint(checkpoint)
    if out and Path(out).suffix not in ('.pkl', '.json'):
        raise ConfigError(f'--out expects a .pkl (predictions) or a .json (metrics), got {str(out)!r}.')
    cfg.load_from = str(checkpoint)
    if show_dir:
        if Path(show_dir).exists():
            require_writable(show_dir)
        _draw_into(cfg, str(show_dir))
    merge_options(cfg, cfg_options)
    _use_validation(cfg)
    cfg.model = unguided(cfg.model)  # it predicts without its teacher
    fill_in(cfg)
    use_student_of(cfg, cfg.load_from)
    size_evaluation(cfg)
    take_statistics(cfg, cfg.load_from)
    if cfg.load_from:  # a zero-shot segmentor reads its student itself, with its size and statistics
        compare_sizes(cfg, cfg.load_from)
        compare_statistics(cfg, cfg.load_from)
    check_run(cfg)
    return cfg


def _use_validation(cfg: Config) -> None:
    """Evaluate the validation set of a config that has no test set, and say so."""
    if cfg.get('test_dataloader') is not None:
        return
    if cfg.get('val_dataloader') is None:
        raise ConfigError(
            f'{cfg.filename or "The config"} has neither a test set nor a validation set, so there is nothing to '
            f'evaluate. Give one as test_dataloader, with test_evaluator and test_cfg=dict(), in a config on top of '
            f'it; `mmlgd evaluate` compares students on labelled images without a config.'
        )
    print_log('The config has no test set (test_dataloader): its validation set is evaluated.', 'current')
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = cfg.get('test_cfg') or dict()


# By library: its hook, its visualiser, and the settings of the hook that switch it on and say where. mmseg's hook draws
# where its visualiser writes.
_DRAWN_BY = {
    'mmpretrain': ('VisualizationHook', 'UniversalVisualizer', 'enable', 'out_dir'),
    'mmdet': ('DetVisualizationHook', 'DetLocalVisualizer', 'draw', 'test_out_dir'),
    'mmseg': ('SegVisualizationHook', 'SegLocalVisualizer', 'draw', None),
}


def _draw_into(cfg: Config, folder: str) -> None:
    scope = cfg.get('default_scope')
    if scope not in _DRAWN_BY:
        raise ConfigError(
            f'--show-dir draws for configs of {", ".join(_DRAWN_BY)}, which they say by default_scope; got {scope!r}.'
        )
    hook, visualizer, switch, place = _DRAWN_BY[scope]
    # An absolute path: mmdet's hook takes another one for a part of the work dir.
    folder = str(Path(folder).resolve())
    hooks = cfg.get('default_hooks') or {}
    settings = hooks.get('visualization') or dict(type=f'{scope}.{hook}')
    cfg.default_hooks = {
        **hooks,
        'visualization': {**settings, switch: True, 'interval': 1, **({place: folder} if place else {})},
    }
    cfg.visualizer = cfg.get('visualizer') or dict(
        type=f'{scope}.{visualizer}', name='visualizer', vis_backends=[dict(type='LocalVisBackend')]
    )
    if not place:
        cfg.visualizer.save_dir = folder
