"""The evaluation of a pre-training while it runs: images outside the training set, with labels or without."""

from pathlib import Path
from typing import Optional

from mmlgd.errors import ConfigError, MissingFileError, shown

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which reads this module, must not wait for
# them.

_TIMES = 10  # evaluations of a run: a teacher may be slow


def evaluation_settings(val: Path, images: Path, names: list[str], epochs: int, batch_size: int, workers: int) -> dict:
    """Evaluate on the images of a folder, about ten times in a run.

    With a class folder for each name, as in ``mmlgd evaluate``, the images have labels: the log has the zero-shot
    accuracies of student and teacher. Without, it has how far the two agree.

    Args:
        val (Path): The folder: ``CLASS/*``, with one folder for each name, called so or in the order of the sorted
            folders; or any images, which have no labels.
        images (Path): The images of training.
        names (List[str]): The K class names.
        epochs (int): Number of epochs.
        batch_size (int): Images per step.
        workers (int): Processes that read images.

    Returns:
        dict: Settings that mmengine merges into a recipe.

    Raises:
        MissingFileError: The folder does not exist, or has no images.
        ConfigError: One of the two folders is inside the other, or which class folder is which name is not known.
    """
    if not val.is_dir():
        raise MissingFileError(f'--val expects a folder of images; there is no folder at {str(val)!r}.')
    here, there = val.resolve(), images.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(
            f'The evaluation images in {str(val)!r} and those of training in {str(images)!r} are not apart: one folder '
            f'is in the other. Move the evaluation images out, or give other ones as --val.'
        )
    folders = class_folders(val, names)
    compared = [dict(type='mmlgd.DistillationMetric')]
    if folders:
        accuracy = [dict(type='mmpretrain.Accuracy', topk=(1, 5) if len(names) > 5 else (1,))]
        compared = [
            *accuracy,
            dict(type='mmpretrain.MultiTasksMetric', task_metrics=dict(teacher=accuracy)),
            *compared,
        ]
    return dict(
        val_dataloader=dict(
            batch_size=batch_size,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='mmlgd.default_collate'),
            dataset=dict(
                type='mmlgd.Images',
                data_root=str(here),
                data_prefix='',
                **(dict(classes=folders) if folders else dict(with_label=False)),
            ),
        ),
        val_evaluator=compared,
        val_cfg=dict(),
        train_cfg=dict(val_interval=max(1, epochs // _TIMES)),
    )


def class_folders(val: Path, names: list[str]) -> Optional[list[str]]:
    """Find the class folders of labelled images: one for each name, and no image beside them.

    Args:
        val (Path): The folder.
        names (List[str]): Class names.

    Returns:
        List[str], optional: K folders with images, in the order of the names: those called so, or else the sorted
        ones. None if the images have no labels.

    Raises:
        MissingFileError: There are no images.
        ConfigError: Only some folders are called like names, so their order is not known.
    """
    from mmlgd.datasets.folder import images_in, no_images
    from mmlgd.text import folders_in_order
    from mmlgd.utils.paths import IMAGE_SUFFIXES

    parts = [Path(file).parts for file in images_in(val, IMAGE_SUFFIXES)]
    if not parts:
        raise no_images(val, IMAGE_SUFFIXES)
    folders = sorted({part[0] for part in parts if len(part) > 1})
    if len(folders) != len(names) or any(len(part) == 1 for part in parts):
        return None
    return folders_in_order(folders, names, shown(val))


def labels_of(images: list, folders: list[str]) -> list[int]:
    """Read the labels of images in class folders.

    Args:
        images (List[str | Path]): Paths of images, relative to the folder of the class folders.
        folders (List[str]): From :func:`class_folders`.

    Returns:
        List[int]: Labels, from 0.

    Examples:
        >>> labels_of(['dog/1.jpg', 'cat/2.jpg'], ['cat', 'dog'])
        [1, 0]
    """
    return [folders.index(Path(image).parts[0]) for image in images]


def reason(settings: dict, val: Path, names: list[str]) -> str:
    """Say how a run is evaluated.

    Args:
        settings (dict): Of :func:`evaluation_settings`.
        val (Path): The folder.
        names (List[str]): Class names.

    Returns:
        str: A sentence to print.
    """
    every = settings['train_cfg']['val_interval']
    if folders := settings['val_dataloader']['dataset'].get('classes'):
        how = f'with labels: class folder {shown(folders[0])!r} is {shown(names[0])!r}, {shown(folders[1])!r} is '
        how += f'{shown(names[1])!r}, and so on'
    else:
        how = (
            f'without labels: images with labels lie in a class folder for each of the {len(names)} names, and none '
            f'beside them'
        )
    when = 'epoch' if every == 1 else f'{every} epochs'
    return f'Evaluation on {shown(val)} every {when}, {how}.'
