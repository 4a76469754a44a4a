r"""How long do the losses take, forward and backward, and how does that grow with the number of classes?

    python tools/benchmarks/losses.py --classes 80 1000 21841 --batch 256

The first row of each table is the published formula in plain PyTorch, in half precision on a GPU; ours is in float32.
"""

from typing import Optional

import torch

from mmlgd import LGDLoss
from mmlgd.benchmarks import published
from mmlgd.benchmarks.ours import unit_rows
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000, 21841], help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--dim', type=int, default=1024, help='D; default: %(default)s')
    args = parser.parse_args(argv)
    half = torch.float16 if args.device.startswith('cuda') else torch.float32
    t, s = (unit_rows(args.batch, args.dim, args.device, seed) for seed in (0, 1))
    loss = LGDLoss()
    parts, figures = [], {}
    for k in args.classes:
        tsb, vsb = (unit_rows(k, args.dim, args.device, seed) for seed in (2, 3))
        their_t, their_tsb, their_vsb = t.to(half), tsb.to(half), vsb.to(half)

        def theirs(t=their_t, tsb=their_tsb, vsb=their_vsb):
            published.losses(s.to(half).requires_grad_(), t, tsb, vsb).backward()

        def ours(tsb=tsb, vsb=vsb):
            sum(loss(s.clone().requires_grad_(), t, tsb, vsb).values()).backward()

        times = measure({'published formula': theirs, 'LGDLoss': ours}, args)
        parts.append(f'K = {k}\n\n{table(times, args.batch)}')
        figures[k] = times
    title = f'Losses, forward and backward, batch {args.batch}, D = {args.dim}'
    report(title, '\n\n'.join(parts), dict(seconds_by_classes=figures), args)


if __name__ == '__main__':
    main()
