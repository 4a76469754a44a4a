"""Variables that several settings of a config share, filled in when a run is built.

mmengine reads a base config first. If the base computes a setting from ``data_root``, the setting does not change when
another config or ``--cfg-options`` sets another ``data_root``. So our configs have None in place of a variable, and
:func:`fill_in` replaces it in the end.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmlgd.text import list_vocabularies, load_vocabulary

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
    vocabulary                                ``names``: a known set, or a text file, here or in ``data_root``
    classes                                   the class names in ``names``
    num_classes                               the number of these
    topk                                      (1, 5); (1,) for five class names or fewer
    ann_file of an evaluator                  ``ann_file`` of its data set, in ``data_root``
    ========================================  ==================================================================

    A config without the variable keeps its None, which the library may understand.

    Args:
        cfg (Config): With all changes merged.

    Raises:
        VocabularyError: The class names are needed, but cannot be used.

    Examples:
        >>> cfg = Config(dict(data_root='/my/data', train_dataloader=dict(dataset=dict(data_root=None))))
        >>> fill_in(cfg)
        >>> cfg.train_dataloader.dataset.data_root
        '/my/data'
    """
    values: dict[str, Callable[[], Any]] = {key: lambda key=key: cfg[key] for key in _SHARED if key in cfg}
    values.update({key: lambda name=name: cfg[name] for key, name in _RENAMED.items() if name in cfg})
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


def _located(cfg: Config) -> Any:
    """Return the variable ``names``; a file that does not exist may be in ``data_root``."""
    names = cfg.names
    if isinstance(names, str) and names not in list_vocabularies() and not Path(names).is_file():
        inside = Path(cfg.get('data_root') or '.') / names
        return str(inside) if inside.is_file() else names
    return names


def _dicts(settings: Any) -> Iterator[dict]:
    """Walk through the dicts in a part of a config."""
    if isinstance(settings, dict):
        yield settings
        settings = settings.values()
    if not isinstance(settings, str) and hasattr(settings, '__iter__'):
        for inner in list(settings):
            yield from _dicts(inner)
