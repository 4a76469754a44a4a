"""The labelled images of an evaluation: listed, checked before any work, and sampled."""

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from mmlgd.datasets import Images
from mmlgd.datasets.label_subset import choose
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.text import classes_of, phrasings
from mmlgd.text.characters import as_word
from mmlgd.utils.files import read_small
from mmlgd.utils.paths import IMAGE_SUFFIXES

_LIST = 2**30  # bytes; the list of ImageNet-21k has 600 million


class Split(NamedTuple):
    """The labelled images of one folder.

    Attributes:
        dataset (Images): The data set, ready to read.
        folder (Path): Folder of the images.
        files (List[str]): Paths relative to the folder.
        labels (Tensor): (N,).
        folders (List[str] | None): Names of the class folders, if any.
    """

    dataset: Images
    folder: Path
    files: list[str]
    labels: Tensor
    folders: Optional[list[str]]


def load_split(data: Path, split: str, pipeline: list[dict]) -> Split:
    """Find the images and labels of one split.

    Args:
        data (Path): The folder of the data.
        split (str): A folder in it, such as ``'train'``, or an absolute path.
        pipeline (List[dict]): Transforms.

    Returns:
        Split: Its images.

    Raises:
        MissingFileError: The folder does not exist, or has no images.
        UnreadableFolderError: A part of the folder is not readable.
        ConfigError: The list of images is invalid, see :func:`check_list`.
    """
    if not (data / split).is_dir():
        there = sorted(path.name for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
        raise MissingFileError(
            f'Expected labelled images in {data / split}/CLASS/*, but there is no such folder. Folders in {data}: '
            f'{", ".join(there[:8]) or "none"}. `mmlgd evaluate` takes other names by --train and --val.'
        )
    file = data / f'{Path(split).name}.txt'
    listed = file.is_file()
    if listed:
        check_list(file, data / split)
    elif not any(path.is_dir() for path in (data / split).iterdir()):
        raise MissingFileError(
            f'{data / split} has no class folders, and there is no {file} either. Give one of them: the evaluation '
            f'needs labels.'
        )
    dataset = Images(
        data_root=str(data),
        data_prefix=split,
        ann_file=file.name if listed else '',
        extensions=IMAGE_SUFFIXES,
        pipeline=pipeline,
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    files = [os.path.relpath(info['img_path'], data / split) for info in infos]
    folders = None if listed else list(dataset.CLASSES)
    return Split(dataset, data / split, files, torch.tensor([int(info['gt_label']) for info in infos]), folders)


def check_list(file: Path, folder: Path) -> None:
    """Check ``train.txt`` or ``val.txt`` in advance, so that errors show first and name the line.

    Args:
        file (Path): The list, with lines ``file label``.
        folder (Path): Folder of the images.

    Raises:
        UnreadableError: It is larger than 1 GiB.
        ConfigError: It is not UTF-8 text, is empty, or has an invalid line, a duplicate image, or an image outside the
            folder.
        MissingFileError: It names an image that does not exist.
    """
    try:
        # Split lines as mmengine does: names may contain other line separators.
        lines = read_small(file, _LIST).decode('utf-8').rstrip('\r\n').split('\n')
    except UnicodeDecodeError as error:
        raise ConfigError(f'{file} is not UTF-8 text ({error}); save it as UTF-8.') from error
    if lines[0].startswith('\ufeff'):
        raise ConfigError(
            f'{file} begins with a byte order mark, which would become part of the first name. Save it as UTF-8 '
            f'without one.'
        )
    if lines == ['']:
        raise ConfigError(f'{file} is empty. Expected a line `file label` for each image.')
    first: dict[str, int] = {}
    missing = []
    for number, line in enumerate(lines, start=1):
        name, _, label = line.strip(' \t\r').rpartition(' ')
        if not name or not re.fullmatch(r'[0-9]{1,9}', label):
            raise ConfigError(
                f'Line {number} of {file} is {line[:200]!r}; expected `file label`, with the label a whole number '
                f'from 0.'
            )
        name = os.path.normpath(name)
        if name.startswith(os.pardir) or os.path.isabs(name):
            raise ConfigError(f'{file} names {name!r}, which is not in {folder}. List only images in this folder.')
        if name in first:
            raise ConfigError(
                f'{file} has {name!r} twice, in lines {first[name]} and {number}: it would count twice. Keep one.'
            )
        first[name] = number
        if not os.path.isfile(folder / name):
            missing.append(name)
    if missing:
        raise MissingFileError(
            f'{len(missing)} of the {len(lines)} images in {file} are not in {folder}; the first is {missing[0]!r} '
            f'(line {first[missing[0]]}).'
        )


def drawn(split: Split, labels: str, seed: int) -> list[int]:
    """Draw the labelled images of a probe, like ``label_subset.py``.

    Args:
        split (Split): The training images.
        labels (str): A share such as ``'10%'``, or a number per class.
        seed (int): Seed of the draw.

    Returns:
        List[int]: Indices of the drawn images.

    Raises:
        ConfigError: A class has too few images.
    """
    position = {file: i for i, file in enumerate(split.files)}
    how = dict(percent=float(labels[:-1])) if labels.endswith('%') else dict(per_class=int(labels))
    files_of: dict[int, list[str]] = {}
    for file, label in zip(split.files, split.labels.tolist()):
        files_of.setdefault(label, []).append(file)
    chosen = []
    for label, files in sorted(files_of.items()):
        name = split.folders[label] if split.folders else str(label)
        try:
            chosen += [position[file] for file in choose(name, files, seed=seed, **how)]
        except ValueError as error:
            raise ConfigError(f'--labels {labels}: {error}') from error
    return chosen


def check_classes(train: Split, val: Split) -> None:
    """Check that both splits have the same classes, and that a probe can be trained.

    Args:
        train (Split): Training images.
        val (Split): Evaluation images.

    Raises:
        ConfigError: The classes do not match; the message says what was found and what was expected.
    """
    if train.folders != val.folders:
        if None in (train.folders, val.folders):
            raise ConfigError(
                f'{train.folder.parent} has a list of labels, train.txt or val.txt, for one of its parts, and class '
                f'folders for the other. Give both lists, or none.'
            )
        differ = sorted(set(train.folders) ^ set(val.folders))
        raise ConfigError(f'train and val have different classes: {", ".join(differ[:5])} is in one of them only.')
    there, asked = (set(split.labels.tolist()) for split in (train, val))
    highest = len(train.folders) - 1 if train.folders else max(there | asked)
    lacking = [k for k in range(min(highest + 1, len(there) + 1)) if k not in there]
    if lacking or len(there) < 2:
        what = train.folders[lacking[0]] if train.folders and lacking else (lacking or [1])[0]
        raise ConfigError(
            f'The training images of {train.folder.parent} have {len(there)} classes, but none is of class {what!r}. A '
            f'probe needs at least two classes and images of each; labels are whole numbers from 0 without a gap.'
        )


def order_of(names: list[str], is_given: bool, train: Split, val: Split) -> tuple[Optional[list[int]], str]:
    """Find the name of each label.

    Args:
        names (List[str]): Class names of a model.
        is_given (bool): Whether the names were given for this data; if not, they are the names of training.
        train (Split): Training images.
        val (Split): Evaluation images.

    Returns:
        Tuple[List[int] | None, str]: For each label the index of its name; or None, and why zero-shot is impossible.

    Raises:
        ConfigError: There is another number of given names, or which folder is which name is not known.
    """
    data = train.folder.parent
    count = len(val.folders) if val.folders else int(max(train.labels.max(), val.labels.max())) + 1
    if len(names) == count:
        return classes_of(val.folders, names, str(val.folder)) if val.folders else [*range(count)], ''
    text = f'{data} has {count} classes, but the vocabulary has {len(names)} names'
    if is_given:
        raise ConfigError(
            f'{text}. Give one name for each class: those of the class folders, or others in their sorted order.'
        )
    return None, f'No zero-shot: {text} (the names of training). Give others with --names.'


def check_synonyms(vocabularies: list[list[str]], synonyms: list[str]) -> str:
    """Check that synonyms name the same classes.

    Args:
        vocabularies (List[List[str]]): Class names of the models that have some.
        synonyms (List[str]): Other names of the same classes.

    Returns:
        str: How many classes have a word that is not among their names.

    Raises:
        ConfigError: There are no class names, another number of them, or models with different ones; or a synonym is
            the name of another class.
    """
    if not vocabularies:
        raise ConfigError('--synonyms needs a student with class names: a checkpoint of LGD training.')
    names = vocabularies[0]
    if len(names) != len(synonyms):
        raise ConfigError(
            f'--synonyms has {len(synonyms)} names, but there are {len(names)} classes. Give one for each class in the '
            f'same order; a class without a synonym keeps its name.'
        )
    if len({tuple(phrasings(name)[0] for name in one) for one in vocabularies}) > 1:
        raise ConfigError('--synonyms follow the order of the names, and the models have different ones: give --names.')
    owner = {word: k for k, name in enumerate(names) for word in _words(name)}
    for k, synonym in enumerate(synonyms):
        for word in phrasings(synonym):
            if (place := owner.get(as_word(word), k)) != k:
                raise ConfigError(
                    f'--synonyms has {word!r} for class {k + 1}, {names[k]!r}, but it is a name of class {place + 1}, '
                    f'{names[place]!r}. Give the synonyms in the order of the names, and none that names another class.'
                )
    other = sum(not _words(two) <= _words(one) for one, two in zip(names, synonyms))
    return f'{other} of {len(names)} classes have other words in the synonyms.'


def _words(name: str) -> set[str]:
    """Tell the words of a class; capitals and blanks make no other word."""
    return {as_word(word) for word in phrasings(name)}
