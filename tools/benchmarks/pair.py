r"""What does a second teacher cost?

    python tools/benchmarks/pair.py --words RN50 --looks timm:vit_small_patch14_dinov2 --looks-size 224 --batch 256

The same step with the teacher for words alone, the one for looks alone, the pair of both, and the pair's embeddings
from a store, in turns in one process. Images are synthetic and already on the device. Weights are random, except with
`--words conse` and `--pretrained`.
"""

import statistics
from functools import partial
from typing import Optional

import torch

from mmlgd.benchmarks.ours import add_compile_option, build_lgd, optimizer_of, unit_rows, words_settings
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.models.teachers.settings import build_teacher


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--words', default='conse', help='an open_clip architecture, or conse; default: %(default)s')
    parser.add_argument('--looks', default='efficientnet-lite:lite2', help='library:model; default: %(default)s')
    parser.add_argument('--looks-size', type=int, help='pixels of a side for the looks; default: their own')
    parser.add_argument('--pretrained', action='store_true', help="the looks' own weights instead of random ones")
    parser.add_argument('--classes', type=int, default=80, help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side; default: %(default)s')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    shape, generator = (args.batch, 3, args.size, args.size), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).to(args.device)
    batch = dict(inputs=pixels, data_samples=None)
    words = dict(words_settings(args.words), compile=args.compile)
    models = {'words alone': build_lgd(args.classes, words, args.device, args.compile)}
    for name, settings in pairs(args, words, pixels).items():
        models[name] = build_lgd(args.classes, settings, args.device, args.compile)
    ways = {name: partial(model.train_step, batch, optimizer_of(model, args.device)) for name, model in models.items()}
    both = models['both']
    t = unit_rows(args.batch, both.teacher.embed_dim, args.device).half()
    stored = dict(batch, teacher_embeddings=t)
    ways['both, from a store'] = partial(both.train_step, stored, optimizer_of(both, args.device))
    times = measure(ways, args)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratios = {name: seconds / medians['words alone'] for name, seconds in medians.items()}
    told = ', '.join(f'{name} {ratio:.2f}' for name, ratio in ratios.items())
    title = f'Step with words {args.words} and looks {args.looks}, ResNet-18, batch {args.batch}, {args.size} px'
    text = f'{table(times, args.batch)}\n\nTimes as long as words alone: {told}.'
    report(f'{title}, K = {args.classes}', text, dict(seconds=times, ratios=ratios), args)


def pairs(args, words: dict, pixels: torch.Tensor) -> dict[str, dict]:
    """Make the settings of both pairs, with statistics of random images: they change no time."""
    size = {} if args.looks_size is None else dict(image_size=args.looks_size)
    looks = dict(backbone=args.looks, weights=args.pretrained, compile=args.compile, **size)
    noise = torch.randn(32, *pixels.shape[1:], generator=torch.Generator().manual_seed(0))
    pair = dict(type='mmlgd.TeacherPair', words=words, looks=looks)
    looks['statistics'] = build_teacher(pair, 'teacher').measured(noise.split(8))
    return {'looks alone': dict(pair, type='mmlgd.LooksAlone'), 'both': pair}


if __name__ == '__main__':
    main()
