r"""Does pre-training help? Train one downstream config from several starts, over seeds, and print mean and spread.

    python tools/benchmarks/compare_starts.py configs/small/detector_bccd.py --seeds 0 1 2 \
        --starts random=none lgd=work_dirs/lgd/epoch_16.pth --metric coco/bbox_mAP

Each run is `tools/train.py CONFIG --student START` in a process of its own; all else is equal. Finished runs are not
repeated, so an interrupted comparison goes on where it was, and a start or seed can be added later. A name
whose config, options or checkpoint have changed since is refused.
"""

import argparse
import json
from pathlib import Path
from typing import Optional

from runs import TOOLS, contents, mean_and_spread, refuse_other, run

from mmlgd.cli.tool import run_tool
from mmlgd.engine.reports.curves import read_records
from mmlgd.errors import ConfigError
from mmlgd.utils.files import write_whole
from mmlgd.utils.seeds import seed_number

LOGS = '*/vis_data/scalars.json'  # in a work dir, one for each start of train.py


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='downstream config')
    parser.add_argument(
        '--starts', nargs='+', required=True, metavar='NAME=START', help='START as in tools/train.py --student'
    )
    parser.add_argument('--seeds', nargs='+', type=seed_number, default=[0, 1, 2])
    parser.add_argument('--metric', required=True, help='as the log names it, for example coco/bbox_mAP or mIoU')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/starts_CONFIG_NAME')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='passed on to every run')
    args = parser.parse_args(argv)
    args.work_dir = args.work_dir or Path('work_dirs') / f'starts_{Path(args.config).stem}'
    if bad := [start for start in args.starts if '=' not in start]:
        parser.error(f'--starts takes NAME=START, got {bad[0]!r}; for example random=none')
    return args


def last_metric(log: Path, metric: str) -> Optional[float]:
    """Find the metric of the last evaluation in a run's log.

    Args:
        log (Path): The file.
        metric (str): Its name in the log.

    Returns:
        float | None: Its value, or None if there was no evaluation.

    Raises:
        ConfigError: There was an evaluation, without this metric; the message names those it had.
    """
    found, others = None, None
    for record in read_records(log):
        if metric in record:
            found = record[metric]
        elif 'lr' not in record and 'loss' not in record:
            others = sorted(key for key in record if key not in ('step', 'time', 'data_time'))
    if found is None and others is not None:
        if not others and metric.startswith('coco/'):  # mmdet evaluates nothing where nothing is detected
            return 0.0
        raise ConfigError(
            f'{log} has no {metric!r}; it has {", ".join(others) or "no metrics"}. Give --metric one of them; the run '
            f'is kept.'
        )
    return found


def train(args: argparse.Namespace, source: str, seed: int, work_dir: Path) -> float:
    """Train once, if that has not been done, and return the metric.

    Raises:
        ConfigError: The folder holds a run of something else.
        RuntimeError: The run failed; the message says where its output is.
    """
    arguments = [args.config, '--student', source, '--work-dir', str(work_dir)]
    arguments += ['--cfg-options', f'randomness.seed={seed}', *args.cfg_options]
    asked = dict(arguments=arguments, contents=contents(args.config, source))
    # Written when the run has ended.
    result = work_dir / 'result.json'
    if result.is_file():
        told = json.loads(result.read_text())
        refuse_other(work_dir, told, asked)
        log = work_dir / told['log']
    else:
        before = set(work_dir.glob(LOGS))
        command = run(TOOLS / 'train.py', arguments, work_dir / 'output.txt')
        log = max(set(work_dir.glob(LOGS)) - before, default=None)  # not one of a run that was stopped here
    if log is not None and not result.is_file():  # before its figure is looked for: the training is done
        told = dict(asked, command=command, log=str(log.relative_to(work_dir)))
        write_whole(result, (json.dumps(told, indent=1) + '\n').encode())
    value = last_metric(log, args.metric) if log else None
    if value is None:
        raise RuntimeError(f'The run in {work_dir} ended without an evaluation. Has the config a val_evaluator?')
    return value


def table(results: dict[str, dict[int, float]], metric: str) -> str:
    """Write the results as a Markdown table.

    Args:
        results (Dict[str, Dict[int, float]]): Values by start and seed.
        metric (str): Its name.

    Returns:
        str: A row for each start: its values, their mean and standard deviation over seeds.
    """
    seeds = list(next(iter(results.values())))
    lines = [
        f'| start | {" | ".join(f"seed {seed}" for seed in seeds)} | {metric}, mean ± spread |',
        '|---' * (len(seeds) + 2) + '|',
    ]
    for name, values in results.items():
        cells = [f'{value:.4g}' for value in values.values()]
        mean, spread = mean_and_spread(values.values())
        lines.append(f'| {name} | {" | ".join(cells)} | {mean:.4g} ± {spread:.2g} |')
    return '\n'.join(lines)


def main(argv: Optional[list[str]] = None) -> None:
    """Run what has not been run, and print the table."""
    args = parse_args(argv)
    results: dict[str, dict[int, float]] = {}
    for seed in args.seeds:
        for start in args.starts:
            name, source = start.split('=', 1)
            value = train(args, source, seed, args.work_dir / f'{name}_seed{seed}')
            results.setdefault(name, {})[seed] = value
            print(f'{name}, seed {seed}: {args.metric} {value:.4g}', flush=True)
    text = table(results, args.metric)
    (args.work_dir / 'table.md').write_text(text + '\n')
    (args.work_dir / 'table.json').write_text(json.dumps(results, indent=1) + '\n')
    print(f'\n{text}\n\nAlso in {args.work_dir}/table.md and table.json.')


if __name__ == '__main__':
    run_tool(main)
