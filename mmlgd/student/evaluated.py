"""Adapts an evaluation config to the student of a checkpoint: its backbone, neck and image size."""

from typing import Optional

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmlgd.checkpoints.configs import buildable, config_in

from .image_size import image_size, resized


def use_student_of(cfg: Config, source: Optional[str]) -> None:
    """Put the backbone, neck and image size of a checkpoint's student into an evaluation config, in place.

    This changes only LGD configs without training data, and only evaluation sets without a pipeline. A checkpoint
    without a config changes nothing. A :class:`~mmlgd.ZeroShotSegmentor` gets the checkpoint and, if it has no names,
    the classes of the test set.

    Args:
        cfg (Config): An evaluation config, for example ``configs/benchmarks/classification/zero-shot_in1k.py``.
        source (str, optional): A checkpoint, as a file or URL. None and other sources of weights change nothing.

    Raises:
        CheckpointError: The student in the checkpoint would run code, or its image size is invalid.
    """
    if str((cfg.get('model') or {}).get('type')).endswith('ZeroShotSegmentor') and source:
        _segment_with(cfg, source)
        return
    is_evaluation = 'teacher' in (cfg.get('model') or {}) and not cfg.get('train_dataloader')
    if not is_evaluation or not source or (trained := config_in(source)) is None:
        return
    for part in ('backbone', 'neck'):
        if settings := trained['model'].get(part):
            scoped = {'_scope_': trained.get('default_scope', 'mmpretrain'), **settings}
            cfg.model[part] = buildable(scoped, part, source)
    for loader in ('val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(loader) or {}).get('dataset')
        if dataset and 'pipeline' not in dataset:
            dataset.pipeline = [dict(type='mmlgd.LoadImageFromFile'), *resized(image_size(trained))]


def _segment_with(cfg: Config, source: str) -> None:
    cfg.model.checkpoint, cfg.load_from = source, None
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    if cfg.model.get('names') is None and dataset:
        classes = (dataset.get('metainfo') or {}).get('classes')
        if classes is None:
            kind = dataset.type if '.' in dataset.type else f'{cfg.get("default_scope", "mmseg")}.{dataset.type}'
            classes = getattr(DATASETS.get(kind), 'METAINFO', {}).get('classes')
        cfg.model.names = classes and list(classes)
