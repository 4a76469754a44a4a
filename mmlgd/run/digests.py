"""Digests of the files that a config names: what they hold decides what a run learns, as much as the config."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from glob import escape, glob
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from mmlgd.datasets.folder import images_in
from mmlgd.datasets.unwrapping import datasets_in
from mmlgd.store import DESCRIPTION
from mmlgd.utils.configs import kind_of
from mmlgd.utils.files import UnreadableError, digest_of
from mmlgd.utils.paths import IMAGE_SUFFIXES

_LOADERS = ('train_dataloader', 'val_dataloader')
# A folder with one of these is a model: of open_clip, or a sentence encoder. Others only share a name with a setting.
_MODELS = ('open_clip_config.json', 'modules.json', 'config.json')
# Where mmpretrain's data sets look for the list of a split that no config names.
_LISTS = dict(
    CUB=('images.txt', 'image_class_labels.txt', 'train_test_split.txt'),
    Caltech101=('meta/{split}.txt',),
    DTD=('imdb/imdb.mat',),
    FGVCAircraft=('data/images_variant_{split}.txt',),
    Flowers102=('imagelabels.mat', 'setid.mat'),
    Food101=('meta/{split}.txt',),
    ImageNet=('meta/{split}.txt',),
    ImageNet21k=('meta/{split}.txt',),
    InShop=('Eval/list_eval_partition.txt',),
    OxfordIIITPet=('annotations/{split}.txt',),
    SUN397=('Partitions/*_01.txt',),
    StanfordCars=('cars_annos.mat', 'devkit/cars_{split}_annos*.mat'),
    VOC=('ImageSets/Main/{split}.txt',),
)
# Other types may read any file of these folders, such as meta/*.txt.
_ANY_LIST = sorted({re.sub(r'[^/]+(?=\.)', '*', one) for lists in _LISTS.values() for one in lists})


def digests_of_labels(cfg: Config) -> dict[str, str]:
    """Compute digests of what the labels of a run are read from: files that its data name, those of names, and masks.

    Args:
        cfg (Config): The config of a run.

    Returns:
        Dict[str, str]: SHA-256 by path: of a file its content; as ``FOLDER/*``, of masks and of VOC's XML files their
        names and contents, and of class folders without a list the paths in them; as ``FOLDER/*.txt (SPLIT)``, of the
        lists in which mmpretrain's data sets find a split. Data behind a URL have none.

    Raises:
        UnreadableError: A file may not be read.
        UnreadableFolderError: A folder may not.
    """
    evaluators = cfg.get('val_evaluator') or []
    found = _of_files(map(os.path.expanduser, _named(evaluators, 'ann_file')))
    for folder in filter(os.path.isdir, _named(evaluators, 'seg_prefix')):
        found.update(_of_folder(Path(folder), IMAGE_SUFFIXES, True))
    for dataset in (one for loader in _LOADERS for one in datasets_in((cfg.get(loader) or {}).get('dataset'))):
        root = dataset.get('data_root') or ''
        if isinstance(root, (str, Path)):  # the data set itself refuses another one
            found.update(_of_dataset(dataset, os.path.expanduser(root), cfg.get('names')))
    return found


def _of_dataset(dataset: dict, root: str, names: Any) -> dict[str, str]:
    metainfo = dataset.get('metainfo')
    named = [names, dataset.get('classes'), isinstance(metainfo, dict) and metainfo.get('classes')]
    texts = _texts([{**dataset, 'data_root': None, 'data_prefix': None}, *named])  # images are no labels
    inside = (Path(root, os.path.expanduser(text)) for text in texts)
    # ~ as mmpretrain reads it; a file of names may lie here, too. An empty text is the root, which may be a large tar.
    paths = [one for one in (*inside, *map(Path, map(os.path.expanduser, _texts(named)))) if one != Path(root)]
    found = _of_files(map(str, paths))
    place, endings, are_read = _folder_of_labels(dataset)
    is_place = isinstance(place, (str, Path)) and (root or place)  # the data set itself refuses another one
    if is_place and (folder := Path(root, os.path.expanduser(place))).is_dir():
        found.update(_of_folder(folder, endings, are_read))
    split = dataset.get('split')
    if os.path.isdir(root) and isinstance(split, str) and not dataset.get('ann_file'):
        patterns = [one.format(split=escape(split)) for one in _LISTS.get(kind_of(dataset), _ANY_LIST)]
        lists = sorted(one for pattern in patterns for one in glob(os.path.join(escape(root), pattern)))
        told = (f'{content_of(one)} {os.path.relpath(one, root)}' for one in lists if os.path.isfile(one))
        # With the split: both loaders may read one root. Records of earlier versions have other digests as /*.txt.
        found[f'{root}/*.txt ({split})'] = _digest(told)
    return found


def _of_folder(folder: Path, endings: Sequence[str], are_read: bool) -> dict[str, str]:
    there = sorted(images_in(folder, endings))
    return {f'{folder}/*': _digest(f'{content_of(folder / file)} {file}' if are_read else file for file in there)}


def content_of(file: Union[str, Path]) -> str:
    """Compute the digest of a file that the user has named.

    Args:
        file (str | Path): The file.

    Returns:
        str: Its SHA-256.

    Raises:
        UnreadableError: It may not be read.
    """
    try:
        return digest_of(file)
    except OSError as error:
        raise UnreadableError.of(file, error.strerror or str(error)) from error


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256('\n'.join(lines).encode(errors='surrogateescape')).hexdigest()


def digests_of_model(cfg: Config) -> dict[str, str]:
    """Compute digests of the files that the model of a run is made from: weights, and a text file of class names.

    Args:
        cfg (Config): The config of a run.

    Returns:
        Dict[str, str]: SHA-256 by path, of each file that a text in ``model`` or ``load_from`` is or ends with
        (``TAG:FILE``), of those in the folder of a model (``local-dir:FOLDER``, a sentence encoder), and of the
        description of a teacher store. What is behind a URL has none.

    Raises:
        UnreadableError: A file may not be read.
        UnreadableFolderError: A folder may not.

    Examples:
        >>> digests_of_model(Config(dict(model=dict(pretrained='torchvision://resnet18'))))
        {}
    """
    texts = {*_texts([cfg.get('model'), cfg.get('load_from')])}
    paths = {os.path.expanduser(text[k:]) for text in texts for k in _beginnings(text)}
    for folder in filter(os.path.isdir, {*paths}):
        paths.add(os.path.join(folder, DESCRIPTION))
        if any(os.path.isfile(os.path.join(folder, name)) for name in _MODELS):
            paths.update(os.path.join(folder, file) for file in images_in(folder, ['']))  # a loop of links ends
    return _of_files(sorted(paths))


def _of_files(paths: Iterable[str]) -> dict[str, str]:
    return {path: content_of(path) for path in paths if os.path.isfile(path)}  # long texts are none


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, Path)):
        yield str(value)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _texts(one)


def _named(value: Any, key: str) -> Iterator[str]:
    """List the texts of a key, also in the evaluators inside of another."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _named(one, key)
    if isinstance(value, dict):
        yield from _texts(value.get(key))


def _beginnings(text: str) -> list[int]:
    return [0, *(k + 1 for k, letter in enumerate(text) if letter == ':')]


def _folder_of_labels(dataset: dict) -> tuple[Optional[str], Sequence[str], bool]:
    """Find the folder of a data set whose files are labels, their endings, and whether more than their paths counts."""
    prefix = dataset.get('data_prefix') or ''
    if kind_of(dataset) == 'VOC' and not prefix:  # its default
        prefix = dict(ann_path='Annotations')
    if isinstance(prefix, dict) and {*prefix} == {'img_path'}:  # mmpretrain reads it as a text
        prefix = prefix['img_path']
    if not isinstance(prefix, dict):
        has_list = dataset.get('ann_file') or dataset.get('with_label') is False
        return None if has_list else prefix or dataset.get('split') or '', IMAGE_SUFFIXES, False
    for key in ('seg_map_path', 'seg', 'depth_map_path'):  # of mmseg, and of mmdet's panoptic and stuff maps
        if key in prefix:
            return prefix[key] or '', (*IMAGE_SUFFIXES, str(dataset.get('seg_map_suffix') or '.png').lower()), True
    if prefix.get('ann_path'):  # of mmpretrain's VOC
        return prefix['ann_path'], ['.xml'], True
    if 'sub_data_root' in prefix:  # of mmdet's XMLDataset
        return f'{prefix["sub_data_root"]}/{dataset.get("ann_subdir") or "Annotations"}', ['.xml'], True
    return None, (), False
