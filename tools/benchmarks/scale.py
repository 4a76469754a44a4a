r"""What does a step of LGD send and keep in addition to the student's own? Compares formulas with a measurement.

    python tools/benchmarks/scale.py --batch 64 --classes 1000 --dim 1024

It runs two gloo processes on this machine; the bytes sent are read from the loopback device (Linux).
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Optional

from mmlgd.benchmarks.timing import report
from mmlgd.benchmarks.traffic import measured, predicted


def main(argv: Optional[list[str]] = None) -> None:
    """Measure on two processes and print both columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', default=[64, 256], help='N of a process; default: %(default)s')
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000], help='K; default: %(default)s')
    parser.add_argument('--dim', type=int, default=1024, help='D; default: %(default)s')
    parser.add_argument('--json', type=Path, help='write the figures here as well')
    parser.set_defaults(device='cpu')
    args = parser.parse_args(argv)
    sizes = list(product(args.batch, args.classes, [args.dim]))
    lines = ['| N | K | D | bytes of a step and process | predicted | measured |', '|---' * 6 + '|']
    found = measured(sizes)
    for (n, k, d), bytes_found in zip(sizes, found):
        for (name, expected), got in zip(predicted(n, k, d, 2).items(), bytes_found):
            lines.append(f'| {n} | {k} | {d} | {name} | {expected:,} | {got:,.0f} |')
    report('What a step sends and keeps, two gloo processes', '\n'.join(lines), dict(sizes=sizes, bytes=found), args)


if __name__ == '__main__':
    main()
