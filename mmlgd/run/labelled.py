"""Checks the labelled data that a config names, before a library builds its data sets."""

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional
from urllib.parse import urlparse

from mmengine.config import Config
from mmengine.fileio import list_dir_or_file, list_from_file
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from mmlgd.datasets.bad_images import skips_in_evaluation
from mmlgd.datasets.boxes.coco import read_coco, require_file_names
from mmlgd.datasets.boxes.complete import require_complete
from mmlgd.datasets.boxes.sound import boxes_of_names, check_content, left_out
from mmlgd.datasets.unwrapping import datasets_in
from mmlgd.engine.checks.annotation_hook import check_names
from mmlgd.errors import ConfigError, MissingFileError, brief, shown
from mmlgd.registry import find_class
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import listed

_LOADERS = ('train_dataloader', 'val_dataloader')


def check_labelled(cfg: Config, loaders: Sequence[str] = _LOADERS) -> None:
    """Refuse boxes and masks that are not there, or have none of the class names.

    The libraries would stop with ``need at least one array to concatenate``, or a file's name alone. What needs the
    built data sets and the model is checked by :class:`mmlgd.AnnotationCheckHook`. Data behind a URL are left to the
    libraries.

    Args:
        cfg (Config): The complete config of a run.
        loaders (Sequence[str]): Its data loaders to check. Defaults to those of training and validation.

    Raises:
        MissingFileError: An annotation file, a folder of images or masks or a file of class names is missing, or a
            folder has no images.
        ConfigError: An evaluation leaves bad images out; or an annotation file is not in COCO's format, or its
            categories are not the class names.
        BoxesError: Its images, boxes and categories do not fit together, or lack what the libraries need.
    """
    for loader in loaders:
        for dataset in datasets_in((cfg.get(loader) or {}).get('dataset')):
            if loader != 'train_dataloader':
                _refuse_skipping(loader, dataset)
            _require_file_of_names(loader, dataset)
            kind = _class_of(dataset, cfg.get('default_scope'))
            prefix = dataset.get('data_prefix')
            if kind is None or not isinstance(prefix, dict):  # mmpretrain's is a text: no boxes, no masks
                continue
            paths = [dataset.get('data_root'), dataset.get('ann_file'), *prefix.values()]
            if dataset.get('backend_args') or any('://' in str(path) for path in paths):
                continue
            if hasattr(kind, 'COCOAPI'):
                metrics = listed(cfg.get(loader.replace('dataloader', 'evaluator')) or [])
                _check_boxes(loader, dataset, kind, by_class=any(one.get('classwise') for one in metrics))
            elif 'seg_map_path' in prefix and not dataset.get('ann_file'):
                _check_masks(loader, dataset, kind)


def _refuse_skipping(loader: str, dataset: dict) -> None:
    """A data set would score another image, or stop without a reason if it has ``test_mode``."""
    steps = [step for step in dataset.get('pipeline') or () if isinstance(step, dict)]
    if any(kind_of(step) == 'LoadImageFromFile' and step.get('bad_images') == 'skip' for step in steps):
        raise skips_in_evaluation(loader)


def _class_of(dataset: dict, scope: Optional[str]) -> Optional[type]:
    kind = dataset.get('type')
    if inspect.isclass(kind) or not isinstance(kind, str):
        return kind
    return find_class(kind, dataset.get('_scope_') or scope, DATASETS)


def _check_boxes(loader: str, dataset: dict, kind: type, by_class: bool) -> None:
    root = dataset.get('data_root') or ''
    file = Path(root, dataset.get('ann_file') or '')
    if not file.is_file():
        raise MissingFileError(
            f'{loader} expects an annotation file at {shown(file)}, and there is none. Give data_root=FOLDER, or '
            f'{loader}.dataset.ann_file=FILE, by --cfg-options. `mmlgd detect --data FOLDER` finds boxes in the '
            f'formats of COCO, VOC and YOLO by itself.'
        )
    told = read_coco(file)
    if told is None:
        raise ConfigError(f'{shown(file)} is not in the format of COCO: expected images, annotations and categories.')
    reads_all = next(one for one in kind.__mro__ if 'load_data_list' in vars(one)).__name__ != 'CocoDataset'
    _require_images(loader, Path(root, dataset.data_prefix.get('img', '')), file, told, reads_all)
    classes = _classes(dataset, kind)
    if not classes or reads_all:  # LVIS takes all categories, with spellings of its own
        return
    check_content(told, file, Path(root, dataset.data_prefix.get('img', '')))
    require_complete(told, shown(file), loader != 'train_dataloader', by_class)
    for note in left_out(told, shown(file)):
        MMLogger.get_current_instance().warning(note)
    names = {one['id']: one['name'] for one in told['categories']}
    check_names(
        str(file),
        list(names.values()),
        [name for name in names.values() if name in classes],
        classes,
        MMLogger.get_current_instance(),
    )
    if not any(count for name, count in boxes_of_names(told).items() if name in classes):
        raise ConfigError(
            f'{shown(file)} has no box of any class name that counts. Give a file with boxes of 1 px or more in their '
            f'images, with an area above 0 and iscrowd=0.'
        )


def _require_file_of_names(loader: str, dataset: dict) -> None:
    """Refuse a text that is no file: mmengine would go on with its letters."""
    metainfo = dataset.get('metainfo')
    classes = metainfo.get('classes') if isinstance(metainfo, dict) else None
    if not isinstance(classes, str):
        return
    try:
        list_from_file(classes)
    except OSError as error:
        raise MissingFileError(
            f'{loader}.dataset.metainfo has classes={classes!r}; a text is read as the path of a file of names, and it '
            f'cannot be read: {error}. Give such a file, or a tuple of names: ({classes!r},).'
        ) from error


def _classes(dataset: dict, kind: type) -> Optional[Sequence[str]]:
    classes = (dataset.get('metainfo') or {}).get('classes') or kind.METAINFO.get('classes')
    return list_from_file(classes) if isinstance(classes, str) else classes  # as mmengine reads it


def _require_images(loader: str, folder: Path, file: Path, told: dict, names_them: bool) -> None:
    if not told['images']:
        raise ConfigError(f'{shown(file)} lists no images. Give a file with images and their boxes.')
    image = told['images'][0]
    if not names_them:
        require_file_names(told, file)
        first = image['file_name']
    elif image.get('file_name') is None and 'coco_url' in image:  # LVIS v1 has URLs that end with them
        first = urlparse(str(image['coco_url'])).path.lstrip('/')
    else:  # LVIS v0.5 changes these names, and a data set of the user's may have none
        return
    if not os.path.isfile(folder / first):
        raise MissingFileError(
            f'{loader} expects the image {brief(first)!r} of {shown(file)} in {shown(folder)}, and it is not there. '
            f'Give the folder of the images, relative to data_root: --cfg-options '
            f'{loader}.dataset.data_prefix.img=FOLDER.'
        )


def _check_masks(loader: str, dataset: dict, kind: type) -> None:
    root, prefix = dataset.get('data_root') or '', dataset.data_prefix
    for key in ('img_path', 'seg_map_path'):
        if not (folder := Path(root, prefix.get(key) or '')).is_dir():
            raise MissingFileError(
                f'{loader} expects a folder at {shown(folder)}, and there is none. Give data_root=FOLDER, or '
                f'{loader}.dataset.data_prefix.{key}=FOLDER relative to it, by --cfg-options. `mmlgd segment --data '
                f'FOLDER` finds images and masks by itself.'
            )
    suffixes = [_suffix(dataset, kind, key) for key in ('img_suffix', 'seg_map_suffix')]
    images, masks = (Path(root, prefix.get(key) or '') for key in ('img_path', 'seg_map_path'))
    found = sorted(list_dir_or_file(images, list_dir=False, suffix=suffixes[0], recursive=True))  # as mmseg finds them
    if not found:
        raise MissingFileError(
            f'{loader} expects images ending with {suffixes[0]!r} in {shown(images)}, and there are none. '
            f'{_endings(images)} Set the variable img_suffix, and seg_map_suffix for the masks.'
        )
    expected = [masks / (path.removesuffix(suffixes[0]) + suffixes[1]) for path in found]
    if lost := [path for path in expected if not path.is_file()]:
        raise MissingFileError(
            f'{len(lost)} of {len(found)} images of {loader} have no mask, first expected at {shown(lost[0])}. '
            f'{_endings(masks)} Set the variable seg_map_suffix, or remove these images.'
        )


def _suffix(dataset: dict, kind: type, key: str) -> str:
    parameters = inspect.signature(kind).parameters
    return dataset.get(key) or (parameters[key].default if key in parameters else '')


def _endings(folder: Path) -> str:
    files = list_dir_or_file(folder, list_dir=False, recursive=True)  # behind links, too
    there = sorted({Path(file).suffix for file in files})
    return f'Endings in {shown(folder)}: {", ".join(there) or "no files"}.'
