r"""How long does the update of the visual bank take, and how does that grow with the number of classes?

    python tools/benchmarks/lgka.py --classes 80 1000 21841 --batch 2048

The first row of each table is the published loop over classes.
"""

from functools import partial
from typing import Optional

import torch

from mmlgd.benchmarks import published
from mmlgd.benchmarks.ours import unit_rows
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.models import VisualSemanticsBank


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000, 21841], help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=2048, help='images of the global batch; default: %(default)s')
    parser.add_argument('--dim', type=int, default=1024, help='D; default: %(default)s')
    args = parser.parse_args(argv)
    t = unit_rows(args.batch, args.dim, args.device)
    parts, figures = [], {}
    for k in args.classes:
        tsb = unit_rows(k, args.dim, args.device, seed=1)
        bank = VisualSemanticsBank(k, args.dim).to(args.device)
        visited = torch.ones(k, dtype=torch.bool, device=args.device)
        ways = {
            'published loop': partial(published.lgka, bank.bank.clone(), visited, t, tsb),
            'VisualSemanticsBank.update': partial(bank.update, t, tsb),
        }
        times = measure(ways, args)
        parts.append(f'K = {k}\n\n{table(times, args.batch)}')
        figures[k] = times
    report(f'LGKA, batch {args.batch}, D = {args.dim}', '\n\n'.join(parts), dict(seconds_by_classes=figures), args)


if __name__ == '__main__':
    main()
