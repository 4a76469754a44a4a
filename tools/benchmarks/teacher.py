r"""How fast is the teacher?

    python tools/benchmarks/teacher.py --teacher RN50 --batch 256 --size 224

The first row is open_clip's unchanged tower (half precision on a GPU, NCHW, every token pooled); then ours, step by
step.
"""

from typing import Optional

import torch

from mmlgd.benchmarks import published
from mmlgd.benchmarks.ours import WordlessTeacher, add_compile_option, autocast, unit_rows
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    clip = published.clip_of(args.teacher)
    teacher = WordlessTeacher(args.teacher, pretrained=None).to(args.device)
    reference = published.PublishedStep(clip, unit_rows(2, teacher.embed_dim, 'cpu'), args.device)
    fastest = WordlessTeacher(args.teacher, pretrained=None, compile=args.compile).to(args.device)
    fastest.to(memory_format=torch.channels_last)
    images = torch.randn(args.batch, 3, *teacher.image_size, device=args.device)
    channels_last = images.contiguous(memory_format=torch.channels_last)

    def ours(teacher, images):
        with autocast(args.device):
            teacher.encode_image(images)

    ways = {
        "open_clip's tower": lambda: reference.encode(images),
        'ours: batch norm folded, one token pooled': lambda: ours(teacher, images),
        f'ours, channels last{", compiled" if args.compile else ""}': lambda: ours(fastest, channels_last),
    }
    times = measure(ways, args)
    size = 'x'.join(map(str, teacher.image_size))
    report(
        f'Teacher {args.teacher}, batch {args.batch}, {size} px', table(times, args.batch), dict(seconds=times), args
    )


if __name__ == '__main__':
    main()
