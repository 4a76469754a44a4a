r"""What does it cost to find bad images? Reads the same files with mmcv's transform and with ours, in turns.

python tools/benchmarks/loading.py --images /my/images --device cpu --json work_dirs/loading.json
"""

import argparse
from pathlib import Path
from typing import Optional

import cv2
import torch
from mmcv.transforms import LoadImageFromFile as Theirs

from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.datasets import LoadImageFromFile
from mmlgd.utils.paths import IMAGE_SUFFIXES


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--images', type=Path, required=True, help='a folder of good images, with its sub-folders')
    parser.add_argument('--batch', type=int, default=100, help='images per call; default: %(default)s')
    args = parser.parse_args(argv)
    if not args.images.is_dir():
        parser.error(f'--images expects a folder, got {str(args.images)!r}')
    return args


def main(argv: Optional[list[str]] = None) -> None:
    """Time both, and print the table."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    files = sorted(path for path in args.images.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        raise FileNotFoundError(f'{args.images} holds no file that ends with {", ".join(IMAGE_SUFFIXES)}.')
    files = [str(files[k * len(files) // args.batch]) for k in range(args.batch)]  # from all over the folder
    transforms = {'mmcv.LoadImageFromFile': Theirs(), 'mmlgd.LoadImageFromFile': LoadImageFromFile()}
    ways = {
        name: lambda transform=transform: [transform(dict(img_path=file)) for file in files]
        for name, transform in transforms.items()
    }
    times = measure(ways, args)
    title = f'Reading {args.batch} images a call, one thread on one core, from {args.images.name}'
    report(title, table(times, args.batch), dict(batch=args.batch, seconds=times), args)


if __name__ == '__main__':
    main()
