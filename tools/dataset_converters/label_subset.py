"""Write the list of a few labelled pictures, as mmpretrain reads it: from SimCLR's lists, or drawn from a folder."""

import argparse
import random
from pathlib import Path
from typing import Optional

from mmlgd.datasets.folder import images_in
from mmlgd.utils.files import read_small
from mmlgd.utils.paths import IMAGE_SUFFIXES


def class_folders(root: Path) -> dict[str, int]:
    """Label the class folders as mmpretrain does: in the order of their names.

    Args:
        root (Path): Folder of class folders.

    Returns:
        Dict[str, int]: Label of each folder.

    Raises:
        FileNotFoundError: There are none.
    """
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not names:
        raise FileNotFoundError(f'Expected class folders in {str(root)!r}, found none.')
    return {name: label for label, name in enumerate(names)}


def from_list(root: Path, names: Path) -> list[str]:
    """Label the pictures of one of SimCLR's lists.

    Args:
        root (Path): ImageNet's ``train`` folder.
        names (Path): ``1percent.txt`` or ``10percent.txt``: file names such as ``n01440764_10026.JPEG``.

    Returns:
        List[str]: ``file label`` lines, in the order of the list.

    Raises:
        FileNotFoundError: Pictures of the list are not in the folder; the message counts and names them.
    """
    labels = class_folders(root)
    files = [f'{name.rpartition("_")[0]}/{name}' for name in read_small(names).decode().split()]
    # A name with folders in it could be of a file outside.
    missing = [
        file
        for file in files
        if file.count('/') != 1 or file.split('/')[0] not in labels or not (root / file).is_file()
    ]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(files)} pictures in {names} are not in {root}: {", ".join(missing[:3])}'
            f'{", ..." if missing[3:] else ""}. Give the folder of the training pictures.'
        )
    return [f'{file} {labels[file.split("/")[0]]}' for file in files]


def draw(root: Path, percent: Optional[float] = None, per_class: Optional[int] = None, seed: int = 0) -> list[str]:
    """Draw the same share, or the same number, of the pictures of each class.

    Args:
        root (Path): Folder of class folders, which may have sub-folders.
        percent (float, optional): Share of each class, see :func:`choose`.
        per_class (int, optional): Number of pictures of each class, instead of ``percent``.
        seed (int): Seed. Defaults to 0.

    Returns:
        List[str]: ``file label`` lines, sorted by class and file.

    Raises:
        FileNotFoundError: There are no class folders, or one without pictures.
        ValueError: A share outside (0, 100], or a class with fewer pictures than ``per_class``.
    """
    lines = []
    for name, label in class_folders(root).items():
        files = [Path(name, file).as_posix() for file in images_in(root / name, IMAGE_SUFFIXES)]
        if not files:
            raise FileNotFoundError(f'There are no pictures in {root / name}.')
        lines += [f'{file} {label}' for file in choose(name, files, percent, per_class, seed)]
    return lines


def choose(
    name: str, files: list[str], percent: Optional[float] = None, per_class: Optional[int] = None, seed: int = 0
) -> list[str]:
    """Draw from the pictures of one class.

    The draw depends on the names of the class and of the files and on the seed alone, so it is the same on every
    machine; a larger share holds the smaller ones.

    Args:
        name (str): Of the class.
        files (List[str]): Its pictures, in any order.
        percent (float, optional): Share in (0, 100]; at least one picture.
        per_class (int, optional): Number of pictures, instead of ``percent``.
        seed (int): Seed. Defaults to 0.

    Returns:
        List[str]: Some of the files, sorted.

    Raises:
        ValueError: A share outside (0, 100], or fewer pictures than ``per_class``.
    """
    if percent is not None and not 0 < percent <= 100:
        raise ValueError(f'Expected a percentage in (0, 100], got {percent}.')
    if per_class is not None and per_class < 1:
        raise ValueError(f'Expected at least one picture of each class, got {per_class}.')
    count = per_class or max(1, round(len(files) * percent / 100))
    if count > len(files):
        raise ValueError(f'The class {name} has {len(files)} pictures, fewer than {count}. Ask for fewer of each.')
    number = random.Random(f'{seed}/{name}').random  # Python promises its sequence; not that of shuffle() or sample()
    files = sorted(files)
    rank = {file: number() for file in files}
    return sorted(sorted(files, key=rank.get)[:count])


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='folder of class folders, e.g. data/imagenet/train')
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument('--list', type=Path, help="SimCLR's 1percent.txt or 10percent.txt (ImageNet)")
    which.add_argument('--percent', type=float, help='draw this share of each class')
    which.add_argument('--per-class', type=int, help='draw this number of each class')
    parser.add_argument('--seed', type=int, default=0, help='of the draw')
    parser.add_argument(
        '--out', type=Path, required=True, help='file to write, e.g. data/imagenet/meta/train_1percent.txt'
    )
    args = parser.parse_args()
    lines = from_list(args.root, args.list) if args.list else draw(args.root, args.percent, args.per_class, args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text('\n'.join(lines) + '\n')
    print(f'{args.out}: {len(lines)} pictures of {len({line.rsplit(" ", 1)[1] for line in lines})} classes')
