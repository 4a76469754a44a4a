r"""When does a teacher store pay off? Measures its size, the cost of reading and of the teacher, and the break-even.

    python tools/benchmarks/store.py --images /my/images --teacher RN50 --also ViT-L-14

The script writes a store of some images into a temporary folder, with the published recipe and random teacher weights.
The figures of ``--also`` are not measured: they follow from its FLOPs, at the FLOPs per second of the measured teacher.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Optional

import open_clip
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmlgd  # noqa: F401  registers what the recipe names
from mmlgd.benchmarks.flops import image_flops
from mmlgd.benchmarks.ours import autocast
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.datasets import default_collate
from mmlgd.registry import DATASETS, MODELS
from mmlgd.store import SeededViews, StoredTeacherDataset
from mmlgd.store.writer import write_store
from mmlgd.utils.paths import place_of

RECIPE = place_of('configs') / 'lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
VIEWS = 2


def flops(architecture: str) -> float:
    """Count the FLOPs of an image tower for one image.

    Args:
        architecture (str): An open_clip architecture.

    Returns:
        float: Two for each multiplication and addition.
    """
    tower = open_clip.create_model(architecture, device='meta').visual.eval()
    size = tower.image_size if isinstance(tower.image_size, tuple) else (tower.image_size,) * 2
    return image_flops(tower, size)


def break_even(views: int, pipeline: float, teacher: float) -> float:
    """Count the epochs, of all students together, after which a store has paid off.

    Writing costs the pipeline and the teacher for V views of each image; every epoch then saves the teacher once.

    Args:
        views (int): V.
        pipeline (float): Seconds to load and augment an image.
        teacher (float): Seconds to embed it.

    Returns:
        float: Epochs.
    """
    return views * (pipeline + teacher) / teacher


def _view(stored: StoredTeacherDataset, row: int) -> dict:
    """Load only an image, without its embedding."""
    return SeededViews.replay(stored, *divmod(row, stored.num_images))


def main(argv: Optional[list[str]] = None) -> None:
    """Write a store, measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--images', type=Path, required=True, help='folder of images')
    parser.add_argument('--count', type=int, default=256, help='images to use; default: %(default)s')
    parser.add_argument('--batch', type=int, default=64, help='images; default: %(default)s')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture; default: %(default)s')
    parser.add_argument('--also', default='ViT-L-14', help='compute for this one too; default: %(default)s')
    args = parser.parse_args(argv)
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(RECIPE)
    cfg.model.teacher.update(model=args.teacher, pretrained=None)
    cfg.model.text.update(vocabulary=['a class name'], templates='plain')
    cfg.train_dataloader.update(batch_size=args.batch, num_workers=0, persistent_workers=False, pin_memory=False)
    cfg.train_dataloader.dataset.update(data_root=str(args.images), indices=args.count)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        store = write_store(cfg, folder, VIEWS)
        writing = (time.perf_counter() - started) / (store.num_images * VIEWS)
        stored = DATASETS.build(
            dict(type='mmlgd.StoredTeacherDataset', store=folder, dataset=cfg.train_dataloader.dataset)
        )
        model = MODELS.build(cfg.model).to(args.device)
        rows = torch.randint(len(stored), (args.batch,), generator=torch.Generator().manual_seed(0)).tolist()
        images = torch.randn(args.batch, 3, *model.teacher.image_size, device=args.device)

        def ask() -> None:
            with autocast(args.device):
                model.teacher.encode_image(images)

        ways = {
            'asking the teacher': ask,
            'reading its embeddings': lambda: torch.stack([torch.from_numpy(stored.store[row].copy()) for row in rows]),
            'loading the images': lambda: default_collate([_view(stored, row) for row in rows]),
        }
        times = measure(ways, args)
        size = sum(file.stat().st_size for file in Path(folder, 'shards').glob('*.npy')) / len(stored)
    teacher, _, pipeline = (statistics.median(seconds) / args.batch for seconds in times.values())
    other = teacher * flops(args.also) / flops(args.teacher)
    lines = [
        table(times, args.batch),
        f'\n{size:.0f} bytes an image and view; writing took {1e3 * writing:.3g} ms a view, with the '
        f'start of the teacher, which a card compiles.\n',
        f'| epochs of all students together until it pays | {args.teacher}, measured | {args.also}, computed |',
        '|---|---|---|',
        *(
            f'| {views} views | {break_even(views, pipeline, teacher):.1f} | {break_even(views, pipeline, other):.1f} |'
            for views in (1, 4, 8, 16)
        ),
    ]
    figures = dict(seconds=times, bytes_a_view=size, writing_a_view=writing, other_teacher=other)
    report(f'Teacher store, batch {args.batch}', '\n'.join(lines), figures, args)


if __name__ == '__main__':
    main()
