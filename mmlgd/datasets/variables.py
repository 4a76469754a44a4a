"""Variables that several settings of a config share, filled in when a run is built.

mmengine reads a base config first. If the base computes a setting from ``data_root``, the setting does not change when
another config or ``--cfg-options`` sets another ``data_root``. So our configs have None in place of a variable, and
:func:`fill_in` replaces it in the end.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmlgd.text import list_vocabularies, load_vocabulary
from mmlgd.utils.validation import require

_PARTS = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'train_cfg', 'default_hooks'),
)
_SHARED = ('data_root', 'img_suffix', 'seg_map_suffix', 'ignore_index', 'reduce_zero_label')
_RENAMED = dict(
    seg_pad_val='ignore_index',
    lr_mult='backbone_rate',
    percent='label_percent',
    **dict.fromkeys(('max_iters', 'val_interval', 'interval', 'end'), 'iterations'),
)


def fill_in(cfg: Config) -> None:
    """Replace each None by the variable that it stands for, in place: in model, data, evaluators, schedule and hooks.

    ========================================  ==================================================================
    a setting that is None                    becomes
    ========================================  ==================================================================
    data_root, img_suffix, seg_map_suffix,    the variable of the same name at the top level of the config
    ignore_index, reduce_zero_label
    seg_pad_val                               ``ignore_index``
    lr_mult                                   ``backbone_rate``
    percent of a sampler                      ``label_percent``
    max_iters, val_interval, interval, end    ``iterations``
    scale                                     ``image_size``: width and height in pixels, or one number for both
    crop_size; size of a data preprocessor    a square of the smaller side of ``image_size``
    vocabulary                                ``names``: a known set, or a text file, here or in ``data_root``
    classes                                   the class names in ``names``
    num_classes                               the number of these
    topk                                      (1, 5); (1,) for five class names or fewer
    ann_file of an evaluator                  ``ann_file`` of its data set, in ``data_root``
    ========================================  ==================================================================

    A config without the variable keeps its None, which the library may understand. First, :func:`choose_arch` gives a
    config of several backbones the one that it names.

    Args:
        cfg (Config): With all changes merged.

    Raises:
        VocabularyError: The class names are needed, but cannot be used.
        ConfigError: ``image_size`` is neither a number of pixels nor two of them.

    Examples:
        >>> cfg = Config(dict(data_root='/my/data', train_dataloader=dict(dataset=dict(data_root=None))))
        >>> fill_in(cfg)
        >>> cfg.train_dataloader.dataset.data_root
        '/my/data'
    """
    choose_arch(cfg)
    values: dict[str, Callable[[], Any]] = {key: lambda key=key: cfg[key] for key in _SHARED if key in cfg}
    values.update({key: lambda name=name: cfg[name] for key, name in _RENAMED.items() if name in cfg})
    if 'image_size' in cfg:
        width, height = width_and_height(cfg.image_size)
        square = (min(width, height),) * 2
        values.update(scale=lambda: (width, height), crop_size=lambda: square, size=lambda: square)
    if 'names' in cfg:
        values.update(
            vocabulary=lambda: _located(cfg),
            classes=lambda: tuple(load_vocabulary(_located(cfg))),
            num_classes=lambda: len(load_vocabulary(_located(cfg))),
            topk=lambda: (1, 5) if len(load_vocabulary(_located(cfg))) > 5 else (1,),
        )
    for part in _PARTS:
        for settings in _dicts(cfg.get(part)):
            for key in [key for key, value in settings.items() if value is None and key in values]:
                settings[key] = values[key]()
    for phase in ('val', 'test') if 'data_root' in cfg else ():
        for metric in _dicts(cfg.get(f'{phase}_evaluator')):
            if 'ann_file' in metric and metric.ann_file is None:
                metric.ann_file = str(Path(cfg.data_root) / cfg[f'{phase}_dataloader'].dataset.ann_file)


def choose_arch(cfg: Config) -> None:
    """Choose one of several backbones, in place: merge the settings of ``archs[arch]`` below the config's own.

    So one config serves several students, and options such as ``model.backbone.widen_factor`` change the chosen one.
    Afterwards there is no ``archs``; a config without it stays as it is.

    Args:
        cfg (Config): With all changes merged.

    Raises:
        ConfigError: ``arch`` is no name in ``archs``.

    Examples:
        >>> students = dict(a=dict(model=dict(backbone=dict(depth=18))), b=dict(model=dict(backbone=dict(depth=34))))
        >>> cfg = Config(dict(arch='b', archs=students, model=dict(backbone=dict(norm_eval=True))))
        >>> choose_arch(cfg)
        >>> cfg.model.backbone
        {'depth': 34, 'norm_eval': True}
    """
    if 'archs' not in cfg:
        return
    known, name = cfg.archs, cfg.get('arch')
    require(name in list(known), f'arch is {name!r}, expected one of {", ".join(known)}: --cfg-options arch=NAME.')
    own = {key: cfg[key] for key in known[name] if key in cfg}
    for key, value in Config._merge_a_into_b(own, known[name]).items():
        cfg[key] = value
    cfg.pop('archs')


def width_and_height(size: Any) -> tuple[int, int]:
    """Read the variable ``image_size``.

    Args:
        size (Any): A number of pixels, or two of them.

    Returns:
        Tuple[int, int]: Width and height in pixels.

    Raises:
        ConfigError: It is something else.

    Examples:
        >>> width_and_height(96), width_and_height([640, 480])
        ((96, 96), (640, 480))
    """
    pair = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    require(
        len(pair) == 2 and all(isinstance(side, int) and side > 0 for side in pair),
        f'image_size is {size!r}, expected pixels: a whole number, or width and height such as [640,480].',
    )
    return pair


def _located(cfg: Config) -> Any:
    """Return the variable ``names``; a file that does not exist may be in ``data_root``."""
    names = cfg.names
    if isinstance(names, str) and names not in list_vocabularies() and not os.path.isfile(names):
        inside = Path(cfg.get('data_root') or '.') / names
        return str(inside) if os.path.isfile(inside) else names  # many names in one text: Path.is_file raises
    return names


def _dicts(settings: Any) -> Iterator[dict]:
    """Walk through the dicts in a part of a config."""
    if isinstance(settings, dict):
        yield settings
        settings = settings.values()
    if not isinstance(settings, str) and hasattr(settings, '__iter__'):
        for inner in list(settings):
            yield from _dicts(inner)
