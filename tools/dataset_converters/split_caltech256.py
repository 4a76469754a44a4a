"""Splits Caltech-256 as in the paper: 60 training images per class, without the clutter class, seeded."""

import argparse
import random
from pathlib import Path

from mmlgd.cli.tool import run_tool
from mmlgd.errors import ConfigError, MissingFileError

NUM_CLASSES = 256  # class 257 is clutter


def split(root: Path, train_per_class: int = 60, seed: int = 0) -> None:
    """Write ``meta/train.txt`` and ``meta/val.txt`` (one ``file label`` per line) beside the images.

    Args:
        root (Path): Folder that holds ``256_ObjectCategories/001.ak47/*.jpg`` and so on.
        train_per_class (int): Training images per class; the rest is for evaluation. Defaults to 60.
        seed (int): Seed of the draw. Defaults to 0.

    Raises:
        MissingFileError: The 256 class folders do not exist.
        ConfigError: A class has too few images to leave any for evaluation.
    """
    images = root / '256_ObjectCategories'
    folders = sorted(images.glob('[0-9][0-9][0-9].*'))[:NUM_CLASSES]
    if len(folders) != NUM_CLASSES:
        raise MissingFileError(f'Expected {NUM_CLASSES} class folders in {images}, found {len(folders)}.')
    lines = {'train': [], 'val': []}
    for label, folder in enumerate(folders):
        files = sorted(f'{folder.name}/{file.name}' for file in folder.glob('*.jpg'))
        if len(files) <= train_per_class:
            raise ConfigError(f'{folder} has {len(files)} images, more than {train_per_class} are needed.')
        random.Random(f'{seed}/{label}').shuffle(files)
        for part, chosen in (('train', files[:train_per_class]), ('val', files[train_per_class:])):
            lines[part] += [f'{file} {label}' for file in sorted(chosen)]
    (root / 'meta').mkdir(exist_ok=True)
    for part, rows in lines.items():
        (root / 'meta' / f'{part}.txt').write_text('\n'.join(rows) + '\n')
        print(f'{root}/meta/{part}.txt: {len(rows)} images of {NUM_CLASSES} classes')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='folder that holds 256_ObjectCategories/')
    parser.add_argument('--train-per-class', type=int, default=60)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    run_tool(lambda: split(args.root, args.train_per_class, args.seed))
