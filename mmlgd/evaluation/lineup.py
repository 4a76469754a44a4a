"""The models of one table, each with its own preparation of the images."""

import copy
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.dataset import Compose
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader

from mmlgd.student import Student
from mmlgd.student.image_size import reading_pipeline, resized
from mmlgd.student.saved import backbone_of
from mmlgd.utils.configs import read_config

from .frozen import FrozenModel, load_frozen, load_teacher
from .splits import Split

Source = Union[str, Path, Student]


def load_models(
    students: dict[str, Source],
    names: Union[str, Path, list, dict, None] = None,
    backbone: Union[str, Path, None] = None,
    with_teacher: bool = False,
    teacher: Optional[dict] = None,
    synonyms: Optional[list[str]] = None,
) -> dict[str, FrozenModel]:
    """Load all students, and optionally the teacher.

    Args:
        students (Dict[str, str | Path | Student]): Sources by name, as for :func:`load_frozen`.
        names (str | Path | list | dict, optional): Class names. Defaults to None: the names of training.
        backbone (str | Path, optional): Config with the backbone for sources that define none. Defaults to None: the
            backbone of the first source that defines one.
        with_teacher (bool): Load the first student's teacher as well, as ``'teacher'``. Defaults to False.
        teacher (dict, optional): Changes to the teachers' configs. Defaults to None.
        synonyms (List[str], optional): Other names of the same classes. Defaults to None.

    Returns:
        Dict[str, FrozenModel]: Models by name, in the given order.

    Raises:
        MissingFileError: The config or a checkpoint does not exist.
    """
    models: dict[str, FrozenModel] = {}
    settings = None
    if backbone is not None:
        settings = backbone_of(read_config(backbone), backbone)
    # Load sources with a config first: the others may use their backbone.
    for name in sorted(students, key=lambda name: _is_start(students[name])):
        with torch.random.fork_rng(devices=[]):  # models are built on the CPU: no GPU is started
            torch.default_generator.manual_seed(0)  # a random start is the same in every call
            models[name] = load_frozen(students[name], names, settings, teacher, synonyms)
        config = models[name].config
        if config and settings is None:
            settings = {key: value for key, value in config['model']['backbone'].items() if key != 'init_cfg'}
    models = {name: models[name] for name in students}
    if with_teacher:
        student = next((model for model in models.values() if model.bank is not None), next(iter(models.values())))
        models['teacher'] = load_teacher(student, teacher)
    return models


def pipelines_of(models: dict[str, FrozenModel], size: Optional[int] = None) -> dict[str, list[dict]]:
    """Get the transforms of each model.

    Args:
        models (Dict[str, FrozenModel]): From :func:`load_models`.
        size (int, optional): Image side in pixels for all models. Defaults to None: each model's own size.

    Returns:
        Dict[str, List[dict]]: Transforms by model. A model without a config, such as a bare backbone, gets those of the
        first model that has one.
    """
    if size:
        return {name: reading_pipeline(None, resized((size, size))) for name in models}
    first = next((model.config for model in models.values() if model.config), None)
    return {name: reading_pipeline(model.config or first) for name, model in models.items()}


def alike(pipelines: dict[str, list[dict]]) -> list[list[str]]:
    """Group models with the same transforms, so that each image is read once per group.

    Args:
        pipelines (Dict[str, List[dict]]): From :func:`pipelines_of`.

    Returns:
        List[List[str]]: Groups of model names.

    Examples:
        >>> small, large = [dict(type='Resize', scale=32)], [dict(type='Resize', scale=64)]
        >>> alike(dict(a=small, b=large, c=small))
        [['a', 'c'], ['b']]
    """
    found: list[list[str]] = []
    for name, pipeline in pipelines.items():
        group = next((names for names in found if pipelines[names[0]] == pipeline), None)
        if group is None:
            found.append([name])
        else:
            group.append(name)
    return found


def reader(split: Split, pipeline: list[dict], batch_size: int = 128, workers: int = 2) -> DataLoader:
    """Read the images of one split, in order.

    Args:
        split (Split): The images.
        pipeline (List[dict]): Transforms.
        batch_size (int): Images per batch. Defaults to 128.
        workers (int): Processes that read images. Defaults to 2.

    Returns:
        DataLoader: Yields batches for :func:`~mmlgd.evaluation.extract`.
    """
    dataset = copy.copy(split.dataset)  # the list of files is shared by all sizes
    dataset.pipeline = Compose([TRANSFORMS.build(dict(step)) for step in pipeline])
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='mmlgd.default_collate'),
        )
    )


def _is_start(source: Source) -> bool:
    return source == 'none' or (isinstance(source, str) and '://' in source and not source.startswith('http'))
