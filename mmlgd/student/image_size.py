"""The image size of a student, read from the config of its training."""

import logging
from collections.abc import Iterator
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.checkpoints.configs import buildable, config_in
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.datasets.sizes import is_loading, is_step, pixels, size_after
from mmlgd.datasets.views import pipeline_of
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.utils.configs import kind_of

from .pixels import pixels_of

DEFAULT = (224, 224)  # for a config without a size


def image_size(config: dict) -> tuple[int, int]:
    """Find the image size of a student.

    It is the size of the evaluation during its training. If there was no evaluation, or one without resizing, it is the
    training size. If the config has no data either, it is the backbone's ``img_size``, or 224. If the training has no
    single size (no resizing, or random sizes), it is 224, with a warning.

    Args:
        config (dict): Settings of the training, as :func:`~mmlgd.checkpoints.model_config` reads them.

    Returns:
        Tuple[int, int]: Height and width.

    Raises:
        CheckpointError: The config has an invalid size, or a pipeline that is not a list of transforms.

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
            f'The training of this student does not resize images to one size: {_text(DEFAULT)} is used. If that is '
            f'wrong, give a size (`--size` of `mmlgd evaluate` and `mmlgd export`), or a test_dataloader in the '
            f'config of training, which all later uses follow.',
            'current',
            logging.WARNING,
        )
    return size or DEFAULT


def evaluation_pipeline(config: dict, default: Optional[list[dict]] = None) -> list[dict]:
    """Get the transforms that prepare images for a student.

    Args:
        config (dict): Settings of the training.
        default (List[dict], optional): Transforms for a training without evaluation. Defaults to None: :func:`resized`
            to :func:`image_size`.

    Returns:
        List[dict]: Transforms of the evaluation of its training. If these leave images at several sizes, they first
        resize the short side to :func:`image_size` and crop the centre.

    Raises:
        CheckpointError: The config has an invalid size, a pipeline that is not a list of transforms, or transforms that
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
    # Crop no margin: the evaluation saw whole images. An image of the right size does not change.
    loads = next((i for i, step in enumerate(pipeline) if not is_loading(step)), len(pipeline))
    return [*pipeline[:loads], *_to_size(size, max(size)), *pipeline[loads:]]


def reading_pipeline(config: Optional[dict], default: Optional[list[dict]] = None) -> list[dict]:
    """Get the transforms that read and prepare images for a student.

    Args:
        config (dict, optional): Settings of the training.
        default (List[dict], optional): Transforms for a config without evaluation. Defaults to None: the training size.

    Returns:
        List[dict]: As :func:`evaluation_pipeline`, with a transform that reads the file first.

    Raises:
        CheckpointError: As in :func:`evaluation_pipeline`.
    """
    pipeline = evaluation_pipeline(config or {}, default)
    # Our reader refuses truncated images; keep another reader if it has options.
    if pipeline[0]['type'].endswith('LoadImageFromFile'):
        load, *pipeline = pipeline
        load = load if len(load) > 1 else dict(type='mmlgd.LoadImageFromFile')
    else:
        load = dict(type='mmlgd.LoadImageFromFile')
    return [load, *pipeline]


def resized(size: tuple[int, int]) -> list[dict]:
    """Resize as in the literature: the short side to 8/7 of the size (256 for 224), then crop the centre.

    Args:
        size (Tuple[int, int]): Height and width.

    Returns:
        List[dict]: Transforms for images that are already read.

    Examples:
        >>> [step.get('scale', step.get('crop_size')) for step in resized((64, 64))]
        [73, (64, 64), None]
    """
    return [*_to_size(size, max(size) * 8 // 7), dict(type='mmpretrain.PackInputs')]


def size_evaluation(cfg: Config) -> None:
    """Let a run evaluate at its training size, in place, for evaluation sets without a pipeline.

    A pipeline in the config stays. If its size differs from the training size, a warning says so: the student then uses
    the evaluation size.

    Args:
        cfg (Config): A config of LGD pre-training, or with evaluation sets of type ``mmlgd.Images``; others do not
            change.
    """
    evaluated = {loader: list(_datasets_of(cfg, loader)) for loader in ('val_dataloader', 'test_dataloader')}
    is_ours = 'teacher' in (cfg.get('model') or {})
    sized = is_ours or any(datasets[-1].get('type') == 'mmlgd.Images' for datasets in evaluated.values() if datasets)
    if not sized:
        return
    trained, size = _trained_size(cfg), image_size(cfg)
    for loader, datasets in evaluated.items():
        if datasets and _pipeline_of(cfg, loader) is None:
            datasets[-1]['pipeline'] = [dict(type='mmlgd.LoadImageFromFile'), *resized(size)]
    if is_ours and trained and trained != size:
        print_log(
            f'This run trains with images of {_text(trained)} pixels and evaluates with {_text(size)}. Later uses of '
            f'its student follow the evaluation. If this is not intended, change the pipeline of val_dataloader and '
            f'test_dataloader, or leave it out.',
            'current',
            logging.WARNING,
        )


def compare_sizes(cfg: Config, source: str) -> None:
    """Warn if a config uses another image size than the frozen student's own.

    Args:
        cfg (Config): An evaluation config; configs of other models, such as detectors, are ignored.
        source (str): Source of the student; only a checkpoint that holds its config has a size.
    """
    is_ours = 'teacher' in (cfg.get('model') or {})
    if not is_ours or (trained := config_in(source)) is None:
        return
    try:
        own, shown = image_size(trained), image_size(cfg)
    except CheckpointError:  # no size in one of them; loading reports other faults
        return
    if own != shown:
        print_log(
            f'{source} has a student for images of {_text(own)} pixels; this config uses {_text(shown)}. '
            f"Without a pipeline in test_dataloader.dataset, mmlgd test resizes images to the student's size.",
            'current',
            logging.WARNING,
        )


def compare_statistics(cfg: Config, source: str) -> None:
    """Warn if a config uses other image statistics or another channel order than the student's training.

    Args:
        cfg (Config): A config of an evaluation, or of a training that starts from the student.
        source (str): Source of the student; only an LGD checkpoint that holds its config has statistics.

    Raises:
        CheckpointError: The statistics are not one number per channel.
    """
    trained = config_in(source)
    if trained is None or 'neck' not in trained['model'] or 'data_preprocessor' in trained:  # such as a classifier's
        return
    own = pixels_of(trained['model'].get('data_preprocessor') or IMAGENET_RGB, source)
    here = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor')
    if here is None:  # our model has a default, and those of the other libraries take images as they are loaded
        here = IMAGENET_RGB if kind_of(cfg.get('model') or {}) == 'LGD' else {}
    if (shown := pixels_of(here, 'The config')) != own:
        print_log(
            f'The student of {source} was trained with images of {own}, but this config has {shown}. Set the '
            f'data_preprocessor of this config as in the training; otherwise the student performs worse.',
            'current',
            logging.WARNING,
        )


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
    """Find the transforms of a data loader, inside the wrappers of its data set (a store, repetitions)."""
    for dataset in _datasets_of(config, loader):
        if pipeline := pipeline_of(dataset):
            if not isinstance(pipeline, (list, tuple)) or not all(is_step(step) for step in pipeline):
                raise CheckpointError(f'{loader}.dataset.pipeline of the config is not a list of transforms.')
            return list(pipeline)
    return None


def _datasets_of(config: dict, loader: str) -> Iterator[dict]:
    """Go from a data loader's data set to the wrapped data set, if there is any."""
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
