r"""What does a step of LGD send and keep in addition to the student's own? Compares formulas with a measurement.

    python tools/benchmarks/scale.py --batch 64 --classes 1000 --dim 1024

It runs two gloo processes on this machine; the bytes sent are read from the loopback device (Linux).
"""

import argparse
from itertools import product
from typing import Optional

from mmlgd.benchmarks.traffic import measured, predicted


def main(argv: Optional[list[str]] = None) -> None:
    """Measure on two processes and print both columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', default=[64, 256], help='N of a process; default: %(default)s')
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000], help='K; default: %(default)s')
    parser.add_argument('--dim', type=int, default=1024, help='D; default: %(default)s')
    args = parser.parse_args(argv)
    sizes = list(product(args.batch, args.classes, [args.dim]))
    print('| N | K | D | bytes of a step and process | predicted | measured |\n|---|---|---|---|---|---|')
    for (n, k, d), found in zip(sizes, measured(sizes)):
        for (name, expected), got in zip(predicted(n, k, d, 2).items(), found):
            print(f'| {n} | {k} | {d} | {name} | {expected:,} | {got:,.0f} |')


if __name__ == '__main__':
    main()
