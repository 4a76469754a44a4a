"""Writes a list of a few labelled images for mmpretrain, from SimCLR's lists or drawn from a folder."""

import argparse
from pathlib import Path

from mmlgd.datasets.label_subset import draw, from_list

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
    print(f'{args.out}: {len(lines)} images of {len({line.rsplit(" ", 1)[1] for line in lines})} classes')
