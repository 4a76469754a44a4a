"""The size that a student sees images at: it belongs to the student, and is read out of the config of its training."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.datasets.sizes import is_loading, is_step, pixels, size_after
from mmlgd.datasets.views import pipeline_of
from mmlgd.errors import brief
from mmlgd.models.zero_shot import IMAGENET_RGB

DEFAULT = (224, 224)  # of a config that does not say


def image_size(config: dict) -> tuple[int, int]:
    """Say at which size a student sees images.

    That is where the evaluation of its training brought them to; without an evaluation, or one that takes images as
    they are, the size that it was trained at; if the config has no data either, the backbone's ``img_size``, or 224.
    Where the training says no single size (images as they are, or of random sizes), 224 is taken with a warning.

    Args:
        config (dict): Settings of the training, as :func:`~mmlgd.checkpoints.model_config` reads them.

    Returns:
        Tuple[int, int]: Height and width.

    Raises:
        CheckpointError: The config names a size that no image has, or something else than transforms.

    Examples:
        >>> crop = dict(type='mmpretrain.RandomResizedCrop', scale=64)
        >>> image_size(dict(train_dataloader=dict(dataset=dict(pipeline=[crop]))))
        (64, 64)
        >>> image_size({})
        (224, 224)
    """
    evaluated = _evaluation_of(config)
    size, _ = size_after(evaluated or [])
    size = size or _trained_size(config)
    if size is None and _pipeline_of(config, 'train_dataloader'):
        print_log(
            f'The training of this student does not bring images to one size: {_text(DEFAULT)} is taken. If that is '
            f'wrong, give a size (`--size` of `mmlgd evaluate` and `mmlgd export`), or a '
            f'test_dataloader in the config of training, which every later use follows.',
            'current',
            logging.WARNING,
        )
    return size or DEFAULT


def evaluation_pipeline(config: dict, default: Optional[list[dict]] = None) -> list[dict]:
    """Say how images are prepared for a student.

    Args:
        config (dict): Settings of the training.
        default (List[dict], optional): For a training without evaluation. Defaults to None: :func:`resized` to
            :func:`image_size`.

    Returns:
        List[dict]: Transforms of the evaluation of its training. One that leaves images of several sizes brings them
        to :func:`image_size` first: the short side, and the middle of the long one.

    Raises:
        CheckpointError: The config names a size that no image has, something else than transforms, or transforms that
            would run code.

    Examples:
        >>> crop = dict(type='mmpretrain.RandomResizedCrop', scale=64)
        >>> [step['type'] for step in evaluation_pipeline(dict(train_dataloader=dict(dataset=dict(pipeline=[crop]))))]
        ['mmpretrain.ResizeEdge', 'CenterCrop', 'mmpretrain.PackInputs']
    """
    evaluated = _evaluation_of(config)
    if evaluated is None:
        return resized(image_size(config)) if default is None else default
    pipeline = [dict(step) for step in buildable(evaluated, 'transform')]
    size, is_fixed = size_after(pipeline)
    size = size or _trained_size(config)
    if is_fixed or size is None:
        return pipeline
    # No margin is cut: the evaluation has seen whole images, and one that has the size already stays as it is.
    loads = next((i for i, step in enumerate(pipeline) if not is_loading(step)), len(pipeline))
    return [*pipeline[:loads], *_to_size(size, max(size)), *pipeline[loads:]]


def reading_pipeline(config: Optional[dict], default: Optional[list[dict]] = None) -> list[dict]:
    """Say how images are read and prepared for a student.

    Args:
        config (dict, optional): Settings of the training.
        default (List[dict], optional): For a config without evaluation. Defaults to None, the size of the training.

    Returns:
        List[dict]: As :func:`evaluation_pipeline`, with the reading of the file as the first transform.

    Raises:
        CheckpointError: As there.
    """
    pipeline = evaluation_pipeline(config or {}, default)
    # Ours takes no half image for a whole one; another that has options stays.
    if pipeline[0]['type'].endswith('LoadImageFromFile'):
        load, *pipeline = pipeline
        load = load if len(load) > 1 else dict(type='mmlgd.LoadImageFromFile')
    else:
        load = dict(type='mmlgd.LoadImageFromFile')
    return [load, *pipeline]


def resized(size: tuple[int, int]) -> list[dict]:
    """Prepare images as the literature does: the short side to 8/7 of the size (256 for 224), then the middle.

    Args:
        size (Tuple[int, int]): Height and width.

    Returns:
        List[dict]: Transforms of images that have been read.

    Examples:
        >>> [step.get('scale', step.get('crop_size')) for step in resized((64, 64))]
        [73, (64, 64), None]
    """
    return [*_to_size(size, max(size) * 8 // 7), dict(type='mmpretrain.PackInputs')]


def size_evaluation(cfg: Config) -> None:
    """Let a run evaluate at the size that it trains at, in place: where an evaluation set has no pipeline.

    A pipeline in the config stays. If it brings images to another size than the training does, a warning says so: the
    student's size is then that of the evaluation.

    Args:
        cfg (Config): Of LGD pre-training, or with evaluation sets of type ``mmlgd.Pictures``; another config is left
            as it is.
    """
    evaluated = {loader: list(_datasets_of(cfg, loader)) for loader in ('val_dataloader', 'test_dataloader')}
    is_ours = 'teacher' in (cfg.get('model') or {})
    sized = is_ours or any(datasets[-1].get('type') == 'mmlgd.Pictures' for datasets in evaluated.values() if datasets)
    if not sized:
        return
    trained, size = _trained_size(cfg), image_size(cfg)
    for loader, datasets in evaluated.items():
        if datasets and _pipeline_of(cfg, loader) is None:
            datasets[-1]['pipeline'] = [dict(type='mmlgd.LoadImageFromFile'), *resized(size)]
    if is_ours and trained and trained != size:
        print_log(
            f'This run trains with images of {_text(trained)} pixels and evaluates with {_text(size)}; whoever uses '
            f'its student later sees images as the evaluation does. If that is not meant, change the pipeline of '
            f'val_dataloader and test_dataloader, or leave it out.',
            'current',
            logging.WARNING,
        )


def compare_sizes(cfg: Config, source: str) -> None:
    """Warn where a config is about to show a frozen student images of another size than the student's own.

    Args:
        cfg (Config): Of an evaluation; one of another model than ours, as a detector's, is left alone.
        source (str): What the student is from; only a checkpoint with its config in it says a size.
    """
    is_ours = 'teacher' in (cfg.get('model') or {})
    if not is_ours or not (Path(source).is_file() or source.startswith(('http://', 'https://'))):
        return
    try:
        own, shown = image_size(model_config(read_checkpoint(source), source)), image_size(cfg)
    except CheckpointError:  # no config in it that says a size; what else is wrong, its loading says
        return
    if own != shown:
        print_log(
            f'{source} is of a student that sees images of {_text(own)} pixels; this config shows it {_text(shown)}. '
            f"Without the pipeline of test_dataloader.dataset, tools/test.py brings images to the student's size.",
            'current',
            logging.WARNING,
        )


def compare_statistics(cfg: Config, source: str) -> None:
    """Warn where a config is about to show a student images of other statistics, or in another order of channels.

    Args:
        cfg (Config): Of an evaluation, or of a training that starts from the student.
        source (str): What the student is from; only a checkpoint of LGD with its config in it says its statistics.

    Raises:
        CheckpointError: It says some that are no numbers of channels.
    """
    if not (Path(source).is_file() or source.startswith(('http://', 'https://'))):
        return
    try:
        trained = model_config(read_checkpoint(source), source)
    except CheckpointError:  # no config in it; what else is wrong, its loading says
        return
    if 'neck' not in trained['model'] or 'data_preprocessor' in trained:  # of another training, as a classifier's
        return
    own = _statistics(trained['model'].get('data_preprocessor') or IMAGENET_RGB, source)
    here = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor') or IMAGENET_RGB
    if (shown := _statistics(here, 'The config')) != own:
        print_log(
            f'{source} is of a student that was trained with images of {own}; this config shows it {shown}. Set the '
            f'data_preprocessor of this config as in the training, or expect less of the student.',
            'current',
            logging.WARNING,
        )


def _statistics(preprocessor: dict, source: str) -> str:
    order = 'RGB' if preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb') else 'BGR'
    told = [order]
    for key in ('mean', 'std'):
        values = preprocessor.get(key) or []
        is_some = isinstance(values, (list, tuple)) and len(values) <= 4
        if not is_some or not all(isinstance(value, (int, float)) and abs(value) < 1e30 for value in values):
            raise CheckpointError(f'{source} has {key}={brief(values)}, expected a finite number for each channel.')
        told.append(f'{key} {[float(value) for value in values]}')
    return ', '.join(told)


def _to_size(size: tuple[int, int], edge: int) -> list[dict]:
    return [
        dict(type='mmpretrain.ResizeEdge', scale=edge, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=(size[1], size[0])),
    ]


def _evaluation_of(config: dict) -> Optional[list[dict]]:
    for loader in ('test_dataloader', 'val_dataloader'):
        if (pipeline := _pipeline_of(config, loader)) is not None:
            return pipeline
    return None


def _trained_size(config: dict) -> Optional[tuple[int, int]]:
    size, _ = size_after(_pipeline_of(config, 'train_dataloader') or [])
    if size is None:
        backbone = (config.get('model') or {}).get('backbone') or {}
        size = pixels(backbone.get('img_size'), 'backbone', 'img_size')  # of a ViT
    return size


def _pipeline_of(config: dict, loader: str) -> Optional[list[dict]]:
    """Find the transforms of a data loader, below what is wrapped around its data set (a store, repetitions)."""
    for dataset in _datasets_of(config, loader):
        if pipeline := pipeline_of(dataset):
            if not isinstance(pipeline, (list, tuple)) or not all(is_step(step) for step in pipeline):
                raise CheckpointError(f'The config has no list of transforms as {loader}.dataset.pipeline.')
            return list(pipeline)
    return None


def _datasets_of(config: dict, loader: str) -> Iterator[dict]:
    """Walk from a data loader's data set to the one that is wrapped in it, if there is one at all."""
    dataset = _dict_of(config.get(loader), loader).get('dataset')
    while dataset := _dict_of(dataset, f'{loader}.dataset'):
        yield dataset
        joined = dataset.get('datasets')
        dataset = dataset.get('dataset') or (joined[0] if isinstance(joined, (list, tuple)) and joined else None)


def _text(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'


def _dict_of(settings: Any, where: str) -> dict:
    if not isinstance(settings, (dict, type(None))):
        raise CheckpointError(f'The config has a {type(settings).__name__} as {where}, expected a dict.')
    return settings or {}
