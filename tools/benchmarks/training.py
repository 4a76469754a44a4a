r"""How many images a second does a real run reach? Pre-trains on a folder for a minute, and times the synthetic step.

    python tools/benchmarks/training.py --images /my/images --teacher RN50 --batch 256 --seconds 60

The run is `mmlgd train` with the batched augmentation, and its images per second are those of its log. The synthetic
step is the same one with images that are already on the device. The teacher has random weights: the run learns nothing
of use.
"""

import argparse
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Optional

import torch

from mmlgd.benchmarks.ours import build_lgd, optimizer_of
from mmlgd.benchmarks.real_run import train_for
from mmlgd.benchmarks.timing import benchmark_parser, measure, report


def options_of(args: argparse.Namespace, names: Path) -> dict:
    """Collect the changes to the recipe.

    Args:
        args (argparse.Namespace): The command line.
        names (Path): A file of class names.

    Returns:
        dict: ``key.subkey=value``.
    """
    return {
        'train_dataloader.dataset.data_root': args.images.resolve(),
        'train_dataloader.dataset.size': args.size,
        'train_dataloader.batch_size': args.batch,
        'train_dataloader.num_workers': args.workers,
        'model.teacher.model': args.teacher,
        'model.teacher.pretrained': None,
        'model.text.vocabulary': names,
        'model.text.templates': 'plain',
        'default_hooks.logger.interval': args.log_every,
    }


def main(argv: Optional[list[str]] = None) -> None:
    """Train, measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--images', type=Path, required=True, help='a folder of images, searched with sub-folders')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture; default: %(default)s')
    parser.add_argument('--classes', type=int, default=1000, help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images of a step; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side; default: %(default)s')
    parser.add_argument('--workers', type=int, default=min(16, os.cpu_count() or 1), help='default: %(default)s')
    parser.add_argument('--seconds', type=float, default=60, help='length of the run; default: %(default)s')
    parser.add_argument('--log-every', type=int, default=50, help='steps of a line in its log; default: %(default)s')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, 'names.txt')
        names.write_text('\n'.join(f'class {k}' for k in range(args.classes)))
        pace = train_for(args.seconds, options_of(args, names), args.batch)
    model = build_lgd(args.classes, args.teacher, args.device, args.device.startswith('cuda'))
    shape, generator = (args.batch, 3, args.size, args.size), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(args.device)
    step = partial(model.train_step, dict(inputs=pixels, data_samples=None), optimizer_of(model, args.device))
    times = measure({'synthetic step': step}, args)
    synthetic = args.batch / statistics.median(times['synthetic step'])
    lines = [
        '| | images/s | of the synthetic step |\n|---|---|---|',
        f'| synthetic step | {synthetic:,.0f} | 1 |',
        f'| real run, inside an epoch | {pace.inside:,.0f} | {pace.inside / synthetic:.2f} |',
        f'| real run, with the pauses between epochs | {pace.overall:,.0f} | {pace.overall / synthetic:.2f} |',
        f'\n{pace.steps} steps; {100 * pace.waiting:.0f} % of a step is waiting for images; the last loss is '
        f'{pace.loss:.3f}.',
    ]
    title = f'A run of {args.seconds:g} s on {args.images.name}, {args.workers} workers, teacher {args.teacher}, '
    title += f'batch {args.batch}, {args.size} px'
    report(title, '\n'.join(lines), dict(run=pace._asdict(), synthetic=synthetic, seconds=times), args)


if __name__ == '__main__':
    main()
