r"""What do terms on places cost?

    python tools/benchmarks/dense.py --teacher RN50 --batch 256 --size 224

The step of the paper's recipe, and the same step with the terms on places of configs/_base_/dense.py, in turns in one
process; then the teacher alone, asked for images and for their places as well. Places come from the passes of student
and teacher that are paid already. Images are synthetic and already on the device. Weights are random, except with
`--teacher conse`.
"""

import statistics
from functools import partial
from typing import Optional

import torch
from mmengine.config import Config

from mmlgd.benchmarks.ours import add_compile_option, autocast, build_lgd, optimizer_of
from mmlgd.benchmarks.timing import Times, benchmark_parser, measure, report, table
from mmlgd.utils.paths import place_of


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--classes', type=int, default=80, help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side; default: %(default)s')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture, or conse; default: %(default)s')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    shape, generator = (args.batch, 3, args.size, args.size), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(args.device)
    batch = dict(inputs=pixels, data_samples=None)
    parts = Config.fromfile(place_of('configs') / '_base_/dense.py').dense.to_dict()
    del parts['loss']['_delete_']
    ways = {}
    for name, more in {'images alone': {}, 'images and places': parts}.items():
        model = build_lgd(args.classes, args.teacher, args.device, args.compile, **more)
        ways[name] = partial(model.train_step, batch, optimizer_of(model, args.device))
    inputs = model.data_preprocessor(batch)['inputs']

    def ask(places: bool) -> None:
        with autocast(args.device):
            model.teacher.encode(inputs, places)

    asked = {'teacher, images alone': partial(ask, False), 'teacher, images and places': partial(ask, True)}
    steps, passes = measure(ways, args), measure(asked, args)
    of_step, of_teacher = (_ratio(times) for times in (steps, passes))
    title = f'Step with and without terms on places, ResNet-18, teacher {args.teacher}, batch {args.batch}'
    told = f'{table(steps, args.batch)}\n\nPlaces: {of_step:.2f} times as long (target: 1.25 at most).\n\n'
    told += f'{table(passes, args.batch)}\n\nPlaces of the teacher alone: {of_teacher:.2f} times as long.'
    figures = dict(seconds=steps, ratio=of_step, teacher_seconds=passes, teacher_ratio=of_teacher)
    report(f'{title}, {args.size} px, K = {args.classes}', told, figures, args)


def _ratio(times: Times) -> float:
    alone, with_places = (statistics.median(seconds) for seconds in times.values())
    return with_places / alone


if __name__ == '__main__':
    main()
