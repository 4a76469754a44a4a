r"""What do teachers cost? A table of image towers, in FLOPs and in time, against the first one.

    python tools/benchmarks/teachers.py --batch 4 --rounds 3 --warmup 1

Weights are random, but those of ConSE. FLOPs are those of the libraries' towers, times those of the form in which a
teacher runs them. Text towers are not measured: a run encodes its prompts once.
"""

import statistics
from functools import partial
from typing import NamedTuple, Optional

import open_clip
import timm
import torch
from open_clip.model import _build_vision_tower
from torch import Tensor, nn

from mmlgd.benchmarks.flops import image_flops
from mmlgd.benchmarks.timing import benchmark_parser, measure, report
from mmlgd.models.teachers.base import freeze
from mmlgd.models.teachers.conse import ConSETeacher
from mmlgd.models.teachers.openclip import frozen_tower
from mmlgd.models.teachers.places import open_clip_places
from mmlgd.models.teachers.towers import Tower, tower_places

TEACHERS = [
    'RN50',
    'ViT-B-32',
    'ViT-B-16',
    'convnext_base',
    'EVA02-B-16',
    'coca_ViT-B-32',
    'ViT-B-16-SigLIP',
    'ViT-B-16-SigLIP2',
    'MobileCLIP-S1',
    'MobileCLIP2-S0',
    'MobileCLIP2-S2',
    'PE-Core-T-16-384',
    'PE-Core-S-16-384',
    'PE-Core-B-16',
    'timm:vit_base_patch14_reg1_tipsv2',
    'timm:vit_base_patch16_radio_v3',
    'timm:vit_so400m_patch16_radio_v4',
    'timm:vit_huge_patch16_radio_v4',
    'efficientnet-lite:lite0',
]


class Row(NamedTuple):
    """A teacher's image tower.

    Attributes:
        tower (nn.Module): It, frozen; None if it is too large to be timed.
        size (Tuple[int, int]): Height and width of its images in pixels.
        dim (int): D.
        flops (float): For one image, two for each multiplication and addition.
        places (Tuple[int, int], optional): Rows and columns of places at this size. None without places, or if it is
            too large.
    """

    tower: Optional[nn.Module]
    size: tuple[int, int]
    dim: int
    flops: float
    places: Optional[tuple[int, int]]


def build(name: str, most: float) -> Row:
    """Build a tower and look at it.

    Args:
        name (str): An architecture of open_clip, ``'timm:'`` and a model that is a teacher's tower, or the classifier
            ``'efficientnet-lite:lite0'`` of ConSE.
        most (float): FLOPs above which its places are not computed, and it is not kept for timing.

    Returns:
        Row: The tower.
    """
    scheme, _, model = name.rpartition(':')
    if scheme == 'efficientnet-lite':
        teacher = ConSETeacher(classifier=name)
        tower, size, dim = teacher.classifier, teacher.image_size, teacher.embed_dim
    elif scheme:
        tower = Tower(timm.create_model(model, num_classes=0, global_pool='token'), nn.Identity())
        size, dim = tower.trunk.patch_embed.img_size, tower.trunk.num_features
    else:
        config = open_clip.get_model_config(model)
        tower = _build_vision_tower(config['embed_dim'], config['vision_cfg'])
        size, dim = (config['vision_cfg']['image_size'],) * 2, config['embed_dim']
        if hasattr(tower, 'output_tokens'):
            tower.output_tokens = False
    flops = image_flops(tower.eval(), size)
    if flops > most:
        return Row(None, size, dim, flops, None)
    if scheme == 'efficientnet-lite':
        places = teacher.places_tower
    elif scheme:
        places = tower_places(freeze(tower), size)
    else:
        tower = frozen_tower(tower, size)
        places = open_clip_places(tower, size)
    with torch.no_grad():
        grid = None if places is None else places(torch.zeros(1, 3, *size)).places.shape[1:3]
    return Row(tower, size, dim, flops, grid)


@torch.inference_mode()
def run(tower: nn.Module, images: Tensor) -> None:
    """Embed images."""
    tower(images)


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument(
        '--teachers', nargs='+', default=TEACHERS, help='the first is compared with; default: the table'
    )
    parser.add_argument('--batch', type=int, default=4, help='images; default: %(default)s')
    parser.add_argument(
        '--most', type=float, default=400, help='GFLOPs; larger ones are not timed; default: %(default)s'
    )
    args = parser.parse_args(argv)
    rows = {name: build(name, args.most * 1e9) for name in args.teachers}
    ways = {}
    for name, row in rows.items():
        if row.tower is not None:
            images = torch.randn(args.batch, 3, *row.size, device=args.device)
            ways[name] = partial(run, row.tower.to(args.device), images)
    times = measure(ways, args)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    first = args.teachers[0]
    lines = [
        f'| teacher | dimension | GFLOPs | × {first} | measured × {first} | images | places |',
        '|---' * 7 + '|',
    ]
    for name, row in rows.items():
        ratio = f'{medians[name] / medians[first]:.2f}' if name in medians else '–'
        grid = f'{row.places[0]} × {row.places[1]}' if row.places else 'none' if row.tower else '–'
        gflops, relative = row.flops / 1e9, row.flops / rows[first].flops
        lines.append(f'| {name} | {row.dim} | {gflops:.1f} | {relative:.2f} | {ratio} | {row.size[0]} px | {grid} |')
    figures = dict(seconds=times, flops={name: row.flops for name, row in rows.items()})
    report(f'Teachers, batch {args.batch}', '\n'.join(lines), figures, args)


if __name__ == '__main__':
    main()
