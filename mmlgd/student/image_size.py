"""The size that a student sees images at: it belongs to the student, and is read out of the config of its training."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.checkpoints.configs import buildable, model_config
from mmlgd.checkpoints.files import CheckpointError, read_checkpoint
from mmlgd.datasets.views import pipeline_of
from mmlgd.models.zero_shot import IMAGENET_RGB

DEFAULT = (224, 224)  # of a config that does not say
LARGEST = 4096  # pixels of a side: what a checkpoint may ask for, where other people's files are read
_WIDTH_FIRST = ('CenterCrop', 'Pad', 'Resize')  # mmcv's; torchvision and mmpretrain have the height first


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
    size, _ = _outcome(evaluated or [])
    size = size or _trained_size(config)
    if size is None and _pipeline_of(config, 'train_dataloader'):
        print_log(
            f'The training of this student does not bring images to one size: {_text(DEFAULT)} is taken. If that is '
            f'wrong, give a size (`--size` of tools/evaluate.py, `--input-size` of export_onnx.py), or a '
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
    size, is_fixed = _outcome(pipeline)
    size = size or _trained_size(config)
    if is_fixed or size is None:
        return pipeline
    # No margin is cut: the evaluation has seen whole images, and one that has the size already stays as it is.
    loads = next((i for i, step in enumerate(pipeline) if not is_loading(step)), len(pipeline))
    return [*pipeline[:loads], *_to_size(size, max(size)), *pipeline[loads:]]


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
    model = cfg.get('model') or {}
    is_ours = 'teacher' in model or str(model.get('type')).endswith('KNNClassifier')
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
    """
    if not (Path(source).is_file() or source.startswith(('http://', 'https://'))):
        return
    try:
        trained = model_config(read_checkpoint(source), source)
    except CheckpointError:  # no config in it; what else is wrong, its loading says
        return
    if 'neck' not in trained['model'] or 'data_preprocessor' in trained:  # of another training, as a classifier's
        return
    own = _statistics(trained['model'].get('data_preprocessor') or IMAGENET_RGB)
    here = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor') or IMAGENET_RGB
    if (shown := _statistics(here)) != own:
        print_log(
            f'{source} is of a student that was trained with images of {own}; this config shows it {shown}. Set the '
            f'data_preprocessor of this config as in the training, or expect less of the student.',
            'current',
            logging.WARNING,
        )


def _statistics(preprocessor: dict) -> str:
    order = 'RGB' if preprocessor.get('to_rgb') or preprocessor.get('bgr_to_rgb') else 'BGR'
    mean, std = ([float(value) for value in preprocessor.get(key) or []] for key in ('mean', 'std'))
    return f'{order}, mean {mean}, std {std}'


def is_loading(step: dict) -> bool:
    """Tell whether a transform reads a file, and prepares nothing."""
    return _kind(step).startswith('Load')


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
    size, _ = _outcome(_pipeline_of(config, 'train_dataloader') or [])
    if size is None:
        backbone = (config.get('model') or {}).get('backbone') or {}
        size = _pixels(backbone.get('img_size'), 'backbone', 'img_size')  # of a ViT
    return size


def _pipeline_of(config: dict, loader: str) -> Optional[list[dict]]:
    """Find the transforms of a data loader, below what is wrapped around its data set (a store, repetitions)."""
    for dataset in _datasets_of(config, loader):
        if pipeline := pipeline_of(dataset):
            if not isinstance(pipeline, (list, tuple)) or not all(_is_step(step) for step in pipeline):
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


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and isinstance(step.get('type'), (str, type))  # a class in a config of Python's style


def _outcome(pipeline: list) -> tuple[Optional[tuple[int, int]], bool]:
    """Follow the size through transforms: the last that any of them sets, and whether all images then have it."""
    size, is_fixed = None, False
    for step in _steps(pipeline):
        kind = _kind(step)
        if not kind.endswith(('Resize', 'ResizeEdge', 'Pad')) and 'Crop' not in kind:
            continue
        for key in ('size', 'crop_size', 'scale', 'height'):
            if given := _pixels(_value(step, key), kind, key):
                is_torch = 'torchvision' in str(step['type'])
                size = given[::-1] if kind in _WIDTH_FIRST and not is_torch else given
                # These set one side, and the other follows from the image.
                is_edge = kind == 'ResizeEdge' or bool(step.get('keep_ratio')) or 'ratio_range' in step
                is_edge |= is_torch and kind == 'Resize' and isinstance(step[key], int)
                is_fixed |= not is_edge
                break
        else:  # a factor, one of several sizes, a square around the image: no size that could be named
            if not _keeps(step, size if is_fixed else None):
                size, is_fixed = None, False
    return size, is_fixed


def _value(step: dict, key: str) -> Any:
    """What a transform says by a key; albumentations' have the height and the width by keys of their own."""
    return (step.get('height'), step.get('width')) if key == 'height' else step.get(key)


def _keeps(step: dict, size: Optional[tuple[int, int]]) -> bool:
    """Tell whether a transform without a size leaves images of one size as they are: padding to a multiple of it."""
    multiple = step.get('size_divisor')
    is_multiple = size is not None and type(multiple) is int and multiple > 0
    return is_multiple and not size[0] % multiple and not size[1] % multiple


def _steps(pipeline: list) -> Iterator[dict]:
    """Walk through transforms, and those inside of them (``RandomApply``)."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from _steps(step)
        elif _is_step(step):
            yield step
            inner = step.get('transforms')
            yield from _steps(inner if isinstance(inner, (list, tuple)) else [])


def _kind(step: dict) -> str:
    """Name a transform's class: its scope, module or ``torchvision/`` left out."""
    return step['type'].__name__ if isinstance(step['type'], type) else re.split('[./]', step['type'])[-1]


def _pixels(value: Any, kind: str, key: str) -> Optional[tuple[int, int]]:
    """Read one or two whole numbers as a size; what is none (a share of the area, a factor) is no size."""
    sides = (value, value) if isinstance(value, int) else value
    is_size = isinstance(sides, (list, tuple)) and len(sides) == 2 and all(type(side) is int for side in sides)
    if not is_size:
        return None
    if not all(0 < side <= LARGEST for side in sides):
        raise CheckpointError(
            f'The config asks for images of {key}={value} ({kind}); expected are 1 to {LARGEST} pixels a side.'
        )
    return tuple(sides)
