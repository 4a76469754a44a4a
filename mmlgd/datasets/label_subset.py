"""Small sets of labelled images: from SimCLR's lists, or drawn from class folders, equally on every machine."""

import random
from pathlib import Path
from typing import Optional

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.utils.files import read_small
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .folder import images_in


def class_folders(root: Path) -> dict[str, int]:
    """Label the class folders as mmpretrain does: in the order of their names.

    Args:
        root (Path): Folder of class folders.

    Returns:
        Dict[str, int]: Label of each folder.

    Raises:
        MissingFileError: There are none.
    """
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not names:
        raise MissingFileError(f'Expected class folders in {str(root)!r}, found none. Give a folder of class folders.')
    return {name: label for label, name in enumerate(names)}


def from_list(root: Path, names: Path) -> list[str]:
    """Label the images of one of SimCLR's lists.

    Args:
        root (Path): ImageNet's ``train`` folder.
        names (Path): ``1percent.txt`` or ``10percent.txt``: file names such as ``n01440764_10026.JPEG``.

    Returns:
        List[str]: ``file label`` lines, in the order of the list.

    Raises:
        MissingFileError: Images of the list are not in the folder; the message counts and names them.
    """
    labels = class_folders(root)
    files = [f'{name.rpartition("_")[0]}/{name}' for name in read_small(names).decode().split()]
    # A name with folders in it could lead to a file outside.
    missing = [
        file
        for file in files
        if file.count('/') != 1 or file.split('/')[0] not in labels or not (root / file).is_file()
    ]
    if missing:
        raise MissingFileError(
            f'{len(missing)} of the {len(files)} images in {names} are not in {root}: {", ".join(missing[:3])}'
            f'{", ..." if missing[3:] else ""}. Give the folder of the training images.'
        )
    return [f'{file} {labels[file.split("/")[0]]}' for file in files]


def draw(root: Path, percent: Optional[float] = None, per_class: Optional[int] = None, seed: int = 0) -> list[str]:
    """Draw the same share, or the same number, of images from each class.

    Args:
        root (Path): Folder of class folders, which may have sub-folders.
        percent (float, optional): Share of each class, see :func:`choose`.
        per_class (int, optional): Number of images of each class, instead of ``percent``.
        seed (int): Seed. Defaults to 0.

    Returns:
        List[str]: ``file label`` lines, sorted by class and file.

    Raises:
        MissingFileError: There are no class folders, or one has no images.
        ConfigError: A share outside (0, 100], or a class with fewer images than ``per_class``.
    """
    lines = []
    for name, label in class_folders(root).items():
        files = [Path(name, file).as_posix() for file in images_in(root / name, IMAGE_SUFFIXES)]
        if not files:
            raise MissingFileError(f'There are no images in {root / name}. Add some, or remove the folder.')
        lines += [f'{file} {label}' for file in choose(name, files, percent, per_class, seed)]
    return lines


def choose(
    name: str, files: list[str], percent: Optional[float] = None, per_class: Optional[int] = None, seed: int = 0
) -> list[str]:
    """Draw from the images of one class.

    The draw depends only on the seed and the names of the class and its files, so it is the same on every machine. A
    larger share contains the smaller ones.

    Args:
        name (str): Of the class.
        files (List[str]): Its images, in any order.
        percent (float, optional): Share in (0, 100]; at least one image.
        per_class (int, optional): Number of images, instead of ``percent``.
        seed (int): Seed. Defaults to 0.

    Returns:
        List[str]: Some of the files, sorted.

    Raises:
        ConfigError: A share outside (0, 100], or fewer images than ``per_class``.
    """
    if percent is not None and not 0 < percent <= 100:
        raise ConfigError(f'Expected a percentage in (0, 100], got {percent}.')
    if per_class is not None and per_class < 1:
        raise ConfigError(f'Expected at least one image of each class, got {per_class}.')
    count = per_class or max(1, round(len(files) * percent / 100))
    if count > len(files):
        raise ConfigError(f'The class {name} has {len(files)} images, fewer than {count}. Ask for fewer of each.')
    number = random.Random(f'{seed}/{name}').random  # Python guarantees this sequence, but not shuffle() and sample()
    files = sorted(files)
    rank = {file: number() for file in files}
    return sorted(sorted(files, key=rank.get)[:count])
