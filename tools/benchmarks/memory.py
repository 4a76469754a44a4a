r"""What does a step on a CPU cost if freed memory goes back to the system?

    python tools/benchmarks/memory.py --batch 32 --size 64

The same step in two processes, one as glibc starts it and one as mmlgd's tools do, in turns. Images are synthetic and
the student has random weights.
"""

import statistics
from typing import Optional

from mmlgd.benchmarks.memory import measure_steps
from mmlgd.benchmarks.timing import benchmark_parser, report


def main(argv: Optional[list[str]] = None) -> None:
    """Measure and report."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--teacher', default='conse', help='an open_clip architecture, or conse; default: %(default)s')
    parser.add_argument('--batch', type=int, default=32, help='images; default: %(default)s')
    parser.add_argument('--size', type=int, default=64, help='pixels of a side; default: %(default)s')
    args = parser.parse_args(argv)
    steps = measure_steps(args.teacher, args.batch, args.size, args.rounds, args.warmup)
    lines = ['| freed memory is | median ms | CPU ms | page faults | most memory, MiB |', '|---' * 5 + '|']
    for name, found in steps.items():
        wall, cpu, faults = (statistics.median(one[key] for one in found) for key in ('seconds', 'cpu', 'faults'))
        lines.append(f'| {name} | {1e3 * wall:.4g} | {1e3 * cpu:.4g} | {faults:,.0f} | {found[-1]["most"]:,.0f} |')
    title = f'Memory of a step with {args.teacher}, ResNet-18, batch {args.batch}, {args.size} px'
    report(title, '\n'.join(lines), dict(steps=steps), args)


if __name__ == '__main__':
    main()
