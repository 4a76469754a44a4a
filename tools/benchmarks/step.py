r"""How fast is a whole training step?

    python tools/benchmarks/step.py --classes 80 1000 21841 --batch 256 --size 224

The script times the published step; our step through mmengine's optimizer wrapper, with a live teacher and with a
store; and the floor: a plain supervised step with the same student, precision and compilation. Images are synthetic and
already on the device.
"""

import statistics
from functools import partial
from typing import Optional

import torch
import torch.nn.functional as F

from mmlgd.benchmarks import published
from mmlgd.benchmarks.ours import add_compile_option, build_classifier, build_lgd, optimizer_of, unit_rows
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.models.compilation import compile_module


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000, 21841], help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side; default: %(default)s')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture; default: %(default)s')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    clip = published.clip_of(args.teacher)
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, 3, args.size, args.size)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(args.device)
    batch = dict(inputs=pixels, data_samples=None)
    normalised = torch.randn(shape, device=args.device)
    classifier = build_classifier(args.device)
    if args.compile:
        compile_module(classifier.backbone, 'the classifier')
    floor_optimizer = optimizer_of(classifier, args.device)
    labels = torch.zeros(args.batch, dtype=torch.long, device=args.device)

    def floor():
        with floor_optimizer.optim_context(classifier):
            inputs = classifier.data_preprocessor(dict(inputs=pixels))['inputs']
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(classifier(inputs, mode='tensor'), labels)
        floor_optimizer.update_params(loss)

    parts, figures = [], {}
    for k in args.classes:
        model = build_lgd(k, args.teacher, args.device, args.compile)
        optimizer = optimizer_of(model, args.device)
        t = unit_rows(args.batch, model.teacher.embed_dim, args.device).half()
        tsb = model.textual_bank.bank.cpu()
        ways = {
            'published step': partial(published.PublishedStep(clip, tsb, args.device), normalised),
            'LGD, live teacher': partial(model.train_step, batch, optimizer),
            'LGD, stored teacher': partial(model.train_step, dict(batch, teacher_embeddings=t), optimizer),
            'supervised ResNet-18 (floor)': floor,
        }
        times = measure(ways, args)
        parts.append(f'K = {k}\n\n{table(times, args.batch)}')
        figures[k] = times
    first, last = args.classes[0], args.classes[-1]
    for name in ('LGD, live teacher', 'LGD, stored teacher'):
        growth = statistics.median(figures[last][name]) / statistics.median(figures[first][name])
        parts.append(f'{name}: K = {last} takes {growth:.2f} times as long as K = {first}.')
    title = f'Training step, ResNet-18, teacher {args.teacher}, batch {args.batch}, {args.size} px'
    report(title, '\n\n'.join(parts), dict(seconds_by_classes=figures), args)


if __name__ == '__main__':
    main()
