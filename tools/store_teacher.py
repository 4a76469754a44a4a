r"""Run the teacher once over augmented views of all pictures, and keep its embeddings: training then needs no teacher.

    python tools/store_teacher.py CONFIG --views 8 --out /my/store
    python tools/train.py CONFIG --store /my/store

A run that was stopped goes on where it was. On several cards or processes:

    torchrun --nproc_per_node 8 tools/store_teacher.py CONFIG --views 8 --out /my/store --launcher pytorch
"""

import argparse
import time
from pathlib import Path

import torch
from arguments import common_parser, read_config
from mmengine import dist
from mmengine.registry import init_default_scope

import mmlgd  # noqa: F401  knows 'mmlgd::...' configs
from mmlgd.cli.tool import run_tool
from mmlgd.datasets.pictures import count_text
from mmlgd.datasets.variables import fill_in
from mmlgd.store.views import MOST_VIEWS
from mmlgd.store.writer import write_store
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.validation import whole


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = common_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        '--views',
        type=whole('views', 1, MOST_VIEWS),
        required=True,
        help='augmented views of each picture, each seen in turn',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of the store')
    parser.add_argument('--seed', type=seed_number, default=0, help='another seed gives other views (default: 0)')
    parser.add_argument('--verify', action='store_true', help='read what is there, and write damaged shards anew')
    return parser.parse_args()


def main() -> None:
    """Write the store and say what it is."""
    args = parse_args()
    cfg = read_config(args)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    fill_in(cfg)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if args.launcher != 'none' and torch.cuda.is_available():
        dist.init_dist(args.launcher)
    elif args.launcher != 'none':
        torch.distributed.init_process_group('gloo')  # mmengine's own wants a card for each process
    started = time.time()
    store = write_store(cfg, args.out, args.views, args.seed, args.verify)
    if dist.is_main_process():
        size = sum(file.stat().st_size for file in (args.out / 'shards').glob('*.npy'))
        views = store.num_pictures * store.num_views
        print(count_text(len(store.bad_pictures()), store.num_pictures))
        print(
            f'{store.num_pictures} pictures, {store.num_views} views each, {size / 2**20:.1f} MiB '
            f'({size / views:.0f} bytes a view), {time.time() - started:.0f} s. Train from it:\n'
            f'  python tools/train.py {args.config} --store {args.out}'
        )


if __name__ == '__main__':
    run_tool(main)
