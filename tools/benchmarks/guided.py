r"""What does a teacher cost that stays on while a model is fine-tuned?

    python tools/benchmarks/guided.py --teacher RN50 --batch 256 --size 224

The step of a plain classifier, and the same step with a guide, in turns in one process; then the teacher alone. The
model is not compiled, the teacher is. Images and labels are synthetic and already on the device. Weights are random,
except with `--teacher conse`.
"""

import statistics
from functools import partial
from typing import Optional

import torch
from mmpretrain.structures import DataSample

from mmlgd.benchmarks.ours import add_compile_option, autocast, build_classifier, optimizer_of, words_settings
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side; default: %(default)s')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture, or conse; default: %(default)s')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    shape, generator = (args.batch, 3, args.size, args.size), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(args.device)
    label = torch.zeros(1, dtype=torch.long, device=args.device)
    batch = dict(inputs=pixels, data_samples=[DataSample().set_gt_label(label) for _ in range(args.batch)])
    teacher = dict(words_settings(args.teacher), compile=args.compile)
    models = {'classifier': build_classifier(args.device), 'with a guide': build_classifier(args.device, teacher)}
    ways = {name: partial(model.train_step, batch, optimizer_of(model, args.device)) for name, model in models.items()}
    guide = models['with a guide'].guide
    inputs = models['classifier'].data_preprocessor(batch, True)['inputs']

    def ask() -> None:
        with autocast(args.device):
            guide.teacher.encode(inputs, places=True)

    times = measure(ways, args)
    times |= measure({'the teacher alone': ask}, args)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratio = medians['with a guide'] / medians['classifier']
    title = f'Step of a classifier with and without a guide, ResNet-18, teacher {args.teacher}, batch {args.batch}'
    told = f'{table(times, args.batch)}\n\nWith a guide: {ratio:.2f} times as long.'
    report(f'{title}, {args.size} px', told, dict(seconds=times, ratio=ratio), args)


if __name__ == '__main__':
    main()
