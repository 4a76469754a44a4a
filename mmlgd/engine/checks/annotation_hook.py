"""A check that annotations, class names and heads have the same classes."""

import json
import os
from collections.abc import Sequence
from logging import Logger

import numpy as np
from mmengine import fileio
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from torch import nn

from mmlgd.datasets.bad_images import BadImageError, skips_in_evaluation
from mmlgd.datasets.loaded_size import loaded_size
from mmlgd.datasets.loading import draws_others, read_image
from mmlgd.datasets.mask_values import label_of, read_mask, require_ignorable, require_size
from mmlgd.datasets.unwrapping import plain_datasets
from mmlgd.errors import ConfigError, MissingFileError, first_few, shown
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model
from mmlgd.utils.spread import spread

MAX_MASKS = MAX_IMAGES = 1000


@HOOKS.register_module()
class AnnotationCheckHook(Hook):
    """Refuse annotations that the libraries would silently misread, before the first step.

    - COCO-like sets: mmdet drops the categories that are not among the class names, and takes the order of labels
      from the file, not from the names.
    - Index masks: a value beyond the classes is a crash on the CPU and a device assertion on a GPU. The check reads all
      masks, or 1000 evenly spread ones if there are more.
    - Heads: their ``num_classes`` must be the number of names.
    - Images: each must be there; up to 1000, evenly spread, are read and must be whole, unless training leaves bad ones
      out (``mmlgd.LoadImageFromFile`` with ``bad_images='skip'``).

    Examples:
        >>> default_hooks = dict(annotations=dict(type='mmlgd.AnnotationCheckHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Check the data sets of training and validation, on the main process.

        Args:
            runner (Runner): The runner, after its loops are built.

        Raises:
            ValueError: The classes do not match, an image is bad, or evaluation leaves bad ones out. The message
                says what was found, what was expected and what to do.
            FileNotFoundError: An image is missing, or has no mask.
        """
        if not is_main_process():
            return
        model = plain_model(runner)
        for loop in (runner._train_loop, runner._val_loop):
            for dataset in plain_datasets(getattr(getattr(loop, 'dataloader', None), 'dataset', None)):
                if loop is runner._val_loop and draws_others(dataset):
                    raise skips_in_evaluation(f'The evaluation in {dataset.data_root!r}')
                classes = dataset.metainfo.get('classes')
                if not classes:
                    continue
                _check_heads(model, classes, dataset)
                if hasattr(dataset, 'cat_ids'):
                    _check_categories(dataset, classes, runner.logger)
                    _check_images(dataset)
                elif hasattr(dataset, 'seg_map_suffix') and dataset.data_prefix.get('seg_map_path'):
                    _check_masks(dataset, len(classes))
                    _check_images(dataset)


def _check_heads(model: nn.Module, classes: tuple, dataset) -> None:
    for name, module in model.named_modules():
        # A proposal head separates objects from background; it has no classes.
        if name.startswith('backbone') or name.endswith('rpn_head') or not hasattr(module, 'num_classes'):
            continue
        if module.num_classes != len(classes):
            raise ConfigError(
                f'model.{name} has num_classes={module.num_classes}, but the data set in {dataset.data_root!r} has '
                f'{len(classes)} class names ({first_few(classes)}). Set model.{name}.num_classes={len(classes)}, or '
                f'give the names of {module.num_classes} classes as metainfo.classes of its data loaders.'
            )


def _check_categories(dataset, classes: tuple, logger) -> None:
    """Compare the names with the annotation file; the data set's ``cat_ids`` are in label order."""
    content = json.loads(fileio.get_text(dataset.ann_file, backend_args=dataset.backend_args))
    names = {category['id']: category['name'] for category in content['categories']}
    check_names(dataset.ann_file, list(names.values()), [names[k] for k in dataset.cat_ids], classes, logger)


def check_names(ann_file: str, names: list[str], labels: list[str], classes: Sequence[str], logger: Logger) -> None:
    """Compare class names with the categories of an annotation file.

    Args:
        ann_file (str): The file, for the error.
        names (List[str]): Its categories.
        labels (List[str]): Those of its categories that are trained, in the order of the labels.
        classes (Sequence[str]): The class names.
        logger (Logger): Takes the warnings.

    Raises:
        ConfigError: A class name is no category, or the order differs.
    """
    others = [name for name in names if name not in classes]
    if len(labels) != len(classes):
        missing = [name for name in classes if name not in labels]
        raise ConfigError(
            f'{ann_file} has categories for {len(labels)} of {len(classes)} class names. Names without a category: '
            f'{first_few(missing)}; categories without a name: {first_few(others)}. Write the names exactly as in the '
            f'file, including capitals, and only names that it contains.'
        )
    if labels != list(classes) and set(labels) == set(classes):
        raise ConfigError(
            f'{ann_file} has its categories in the order {first_few(labels)}, and labels follow the file; but '
            f'the class names are in the order {first_few(classes)}. Give the names in the order of the file.'
        )
    if labels != list(classes):  # LVIS: its labels do not follow names
        different = [f'{theirs!r} for {ours!r}' for theirs, ours in zip(labels, classes) if theirs != ours]
        logger.warning(f'{ann_file} spells {len(different)} class names differently: {first_few(different)}.')
    elif others:
        logger.warning(f'{ann_file} has categories that are not trained: {first_few(others)}.')


def _check_images(dataset) -> None:
    """Refuse missing and broken images; a library would stop at them in the middle of an epoch."""
    local = dataset.backend_args is None
    paths = [dataset.get_data_info(k)['img_path'] for k in range(len(dataset))]
    paths = [path for path in paths if local and '://' not in path]
    if missing := [path for path in paths if not os.path.isfile(path)]:
        raise MissingFileError(
            f'{len(missing)} of {len(paths)} images of the data set in {dataset.data_root!r} are not there, for '
            f'example {shown(missing[0])}. Give the folder of the images as data_root and data_prefix, or take them '
            f'out of the annotations.'
        )
    if draws_others(dataset):  # it names them itself
        return
    broken = []
    for path in spread(paths, MAX_IMAGES):
        try:
            read_image(path)
        except BadImageError as error:
            broken.append(str(error))
    if broken:
        raise ConfigError(
            f'{len(broken)} images of the data set in {dataset.data_root!r} cannot be used. The first: {broken[0]} '
            f'Repair them, or take them out of the annotations.'
        )


def _check_masks(dataset, num_classes: int) -> None:
    require_ignorable(dataset.ignore_index, num_classes, dataset.data_root)
    for k in spread(range(len(dataset)), MAX_MASKS):
        info = dataset.get_data_info(k)
        path = info['seg_map_path']
        if not fileio.exists(path, backend_args=dataset.backend_args):
            raise MissingFileError(
                f'There is no mask at {path!r} for the image {info["img_path"]!r}. A mask has the name of its image, '
                f'with seg_map_suffix={dataset.seg_map_suffix!r} instead of img_suffix={dataset.img_suffix!r}.'
            )
        mask = read_mask(path, dataset.backend_args)
        _check_mask_size(info['img_path'], path, mask.shape)
        values = np.unique(mask).tolist()
        beyond = [v for v in values if _label(v, info) not in (*range(num_classes), dataset.ignore_index)]
        if beyond:
            raise ConfigError(
                f'The mask {shown(path)} has the values {first_few(beyond)}, but num_classes is {num_classes}: '
                f'expected values are 0 to {num_classes - 1}, or {dataset.ignore_index} for pixels without a label'
                f'{" (after reduce_zero_label, which subtracts 1)" if info["reduce_zero_label"] else ""}. '
                f'Give a name for every class, or set the value to ignore as ignore_index of the data '
                f'sets, heads and metrics (the variable ignore_index of our configs for masks).'
            )


def _check_mask_size(image: str, path: str, shape: tuple) -> None:
    if not os.path.isfile(image):  # _check_images says so, or it lies behind a URL
        return
    try:
        with Image.open(image) as opened:
            size = loaded_size(opened)
    except (OSError, ValueError, Image.DecompressionBombError):
        return  # likewise
    require_size(path, shape, size)


def _label(value: int, info: dict) -> int:
    """Follow one value of a mask through mmseg's LoadAnnotations."""
    value = label_of(value, info['reduce_zero_label'])
    return (info['label_map'] or {}).get(value, value)
