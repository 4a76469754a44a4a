"""The models of one table: loaded side by side, each with the images as it sees them."""

import copy
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS
from torch.utils.data import DataLoader

from mmlgd.errors import MissingFileError
from mmlgd.student import Student
from mmlgd.student.image_size import reading_pipeline, resized
from mmlgd.student.saved import backbone_of

from .frozen import FrozenModel, load_frozen, load_teacher
from .splits import Split

Source = Union[str, Path, Student]


def load_models(
    students: dict[str, Source],
    names: Union[str, list, dict, None] = None,
    backbone: Union[str, Path, None] = None,
    with_teacher: bool = False,
    teacher: Optional[dict] = None,
) -> dict[str, FrozenModel]:
    """Load all students, and the teacher if it is asked for.

    Args:
        students (Dict[str, str | Path | Student]): By name, as :func:`load_frozen` takes them.
        names (str | list | dict, optional): Class names. Defaults to None, those of training.
        backbone (str | Path, optional): Config with the backbone of those that do not say. Defaults to None, that of
            the first that says.
        with_teacher (bool): Load the first student's teacher as well, as ``'teacher'``. Defaults to False.
        teacher (dict, optional): Changes to the teachers' configs. Defaults to None.

    Returns:
        Dict[str, FrozenModel]: By name, in the order that was given.

    Raises:
        MissingFileError: There is no such config, or no such checkpoint.
    """
    models: dict[str, FrozenModel] = {}
    settings = None
    if backbone is not None:
        if not Path(backbone).is_file():
            raise MissingFileError(f'There is no config at {str(backbone)!r}, which --backbone names.')
        settings = backbone_of(Config.fromfile(backbone), backbone)
    # Those that say what they are come first: the others may take their backbone from them.
    for name in sorted(students, key=lambda name: _is_start(students[name])):
        torch.manual_seed(0)  # a random start is the same in every call
        models[name] = load_frozen(students[name], names, settings, teacher)
        config = models[name].config
        if config and settings is None:
            settings = {key: value for key, value in config['model']['backbone'].items() if key != 'init_cfg'}
    models = {name: models[name] for name in students}
    if with_teacher:
        student = next((model for model in models.values() if model.bank is not None), next(iter(models.values())))
        models['teacher'] = load_teacher(student, teacher)
    return models


def pipelines_of(models: dict[str, FrozenModel], size: Optional[int] = None) -> dict[str, list[dict]]:
    """Say how each model sees the images.

    Args:
        models (Dict[str, FrozenModel]): Of :func:`load_models`.
        size (int, optional): Pixels of a side, for all of them. Defaults to None, each one's own size.

    Returns:
        Dict[str, List[dict]]: Transforms by model. A model that does not say, as a bare backbone, sees them as the
        first that does.
    """
    if size:
        return {name: reading_pipeline(None, resized((size, size))) for name in models}
    first = next((model.config for model in models.values() if model.config), None)
    return {name: reading_pipeline(model.config or first) for name, model in models.items()}


def alike(pipelines: dict[str, list[dict]]) -> list[list[str]]:
    """Put models together that see the same, so that each image is read once for them.

    Args:
        pipelines (Dict[str, List[dict]]): Of :func:`pipelines_of`.

    Returns:
        List[List[str]]: Groups of names.

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
        batch_size (int): Images a batch. Defaults to 128.
        workers (int): Processes that read. Defaults to 2.

    Returns:
        DataLoader: Of batches for :func:`~mmlgd.evaluation.extract`.
    """
    dataset = copy.copy(split.dataset)  # listed once, for all sizes
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
