r"""How many images a second does one core prepare? The published pipeline, our default and the batched one.

    python tools/benchmarks/pipeline.py --images /my/images --device cpu --json work_dirs/pipeline.json

All pipelines run in one thread, in turns, on the same files. With the batched pipeline, a dataloader's workers only
decode and crop; the last row adds the augmentation of whole batches on --device.
"""

import argparse
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope
from PIL import Image, ImageFilter
from torchvision import transforms

from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.datasets import default_collate, view_pipeline
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS
from mmlgd.utils.paths import IMAGE_SUFFIXES


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--images', type=Path, required=True, help='a folder of images, searched with sub-folders')
    parser.add_argument('--batch', type=int, default=64, help='images per call; default: %(default)s')
    args = parser.parse_args(argv)
    if not args.images.is_dir():
        parser.error(f'--images expects a folder, got {str(args.images)!r}')
    return args


def published_pipeline() -> Callable[[Path], torch.Tensor]:
    """Make MoCo v2's pipeline as in the published code: torchvision's transforms on a Pillow image."""
    mean, std = ([value / 255 for value in IMAGENET_RGB[key]] for key in ('mean', 'std'))
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(224, scale=(0.2, 1.0)),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([transforms.Lambda(_blur)], p=0.5),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return lambda path: augment(Image.open(path).convert('RGB'))


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius=np.random.uniform(0.1, 2.0)))


def main(argv: Optional[list[str]] = None) -> None:
    """Time the pipelines, and print the table."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    torch.manual_seed(0)
    np.random.seed(0)
    init_default_scope('mmpretrain')
    files = sorted(path for path in args.images.rglob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise FileNotFoundError(f'{args.images} holds no file that ends with {", ".join(IMAGE_SUFFIXES)}.')
    files = [files[k * len(files) // args.batch] for k in range(args.batch)]  # from all over the folder

    published = published_pipeline()
    default, crop = (Compose(view_pipeline(view)) for view in ('moco-v2', 'moco-v2-crop'))
    preprocess = MODELS.build(
        dict(
            IMAGENET_RGB,
            type='mmlgd.PretrainDataPreprocessor',
            augmentation=dict(type='mmlgd.MoCoV2Augmentation'),
        )
    ).to(args.device)
    samples = [dict(img_path=str(path)) for path in files]

    def run(pipeline) -> list[dict]:
        return [pipeline(dict(sample)) for sample in samples]

    ways = {
        'published: torchvision on Pillow': lambda: [published(path) for path in files],
        "default: the view 'moco-v2'": lambda: run(default),
        'batched: decode and crop alone': lambda: run(crop),
        f'batched: with the augmentation on {args.device}': lambda: preprocess(default_collate(run(crop)), True),
    }
    times = measure(ways, args)
    title = f'Views of 224 px from {args.batch} images a call, one thread on one core, from {args.images.name}'
    report(title, table(times, args.batch), dict(batch=args.batch, seconds=times), args)


if __name__ == '__main__':
    main()
