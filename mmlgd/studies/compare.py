"""Does pre-training help? One downstream config from several starts, in several ways, over seeds."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.logging import print_log

from mmlgd.engine.reports.curves import read_records
from mmlgd.errors import ConfigError
from mmlgd.run.child import RunError
from mmlgd.utils.files import write_whole
from mmlgd.utils.options import read_options, write_options
from mmlgd.utils.seeds import seed_number
from mmlgd.utils.validation import listed

from .runs import contents, mean_and_spread, named, refuse_other, run, split_options

LOGS = '*/vis_data/scalars.json'  # in a work dir; each start of training writes one
_CHANGES, _WAY = r'[\w.]+=.*', 'frozen=backbone_rate=0'


def compare(
    config: str,
    *,
    starts: Sequence[str],
    metric: str,
    seeds: Sequence[int] = (0, 1, 2),
    ways: Sequence[str] = (),
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict[str, Any]] = None,
) -> dict[str, dict[int, float]]:
    """Train one downstream config from several starts, over seeds. Does pre-training help?

    Each run is ``mmlgd train CONFIG --student START`` in a separate process; everything else is equal. Finished runs
    are not repeated and a stopped one is resumed, so the same command goes on, and you can add starts or seeds later. A
    name whose config, options or checkpoint have changed is refused. The table is written to table.md and table.json.

    Args:
        config (str): Downstream config.
        starts (Sequence[str]): NAME=START, with START as in ``mmlgd train --student``: none, a checkpoint, or a URL.
            {seed} in it stands for the seed of the run, for students that were pre-trained over the same seeds.
        metric (str): Name of the metric in the log, for example coco/bbox_mAP or mIoU.
        seeds (Sequence[int]): Seeds of training. Defaults to 0 1 2.
        ways (Sequence[str]): NAME=key=value,key=value: changes to the config; each start is trained in each way, for
            example frozen=backbone_rate=0 tuned=backbone_rate=0.1. Defaults to one way: the config as it is.
        work_dir (str | Path, optional): Folder for the runs. Defaults to None: work_dirs/starts_CONFIG_NAME.
        cfg_options (dict, optional): Changes to the config of every run, ``key.subkey=value``. Defaults to None.

    Returns:
        Dict[str, Dict[int, float]]: The metric of the last evaluation, by start and seed; with several ways, by
        ``START, WAY`` and seed.

    Raises:
        ConfigError: A start, a way or a seed is invalid, an existing run is a different one, or no evaluation has the
            metric.
        RunError: A run failed; the message says where its output is.

    Examples:
        >>> import mmlgd
        >>> mmlgd.compare(
        ...     'configs/small/detector_bccd.py',
        ...     metric='coco/bbox_mAP',
        ...     starts=['random=none', 'lgd=work_dirs/lgd/epoch_16.pth'],
        ... )  # doctest: +SKIP
    """
    sources = named(starts, 'starts', '.+', 'random=none')
    texts = named(ways, 'ways', _CHANGES, _WAY) if ways else {}
    changes = {way: read_options(split_options(text)) for way, text in texts.items()}
    seeds = [seed_number(seed) for seed in listed(seeds)]
    work_dir = Path(work_dir or Path('work_dirs') / f'starts_{Path(config).stem}')
    results: dict[str, dict[int, float]] = {}
    for seed in seeds:
        for (start, source), way in product(sources.items(), changes or ['']):
            changed = {'randomness.seed': seed, **(cfg_options or {}), **changes.get(way, {})}
            folder = '_'.join(filter(None, (start, way, f'seed{seed}')))
            student = source.replace('{seed}', str(seed))
            value = _train(config, student, ['--cfg-options', *write_options(changed)], work_dir / folder, metric)
            name = f'{start}, {way}' if way else start
            results.setdefault(name, {})[seed] = value
            print_log(f'{name}, seed {seed}: {metric} {value:.4g}', 'current')
    (work_dir / 'table.md').write_text(table(results, metric) + '\n')
    (work_dir / 'table.json').write_text(json.dumps(results, indent=1) + '\n')
    return results


def table(results: dict[str, dict[int, float]], metric: str) -> str:
    """Write results as a Markdown table.

    Args:
        results (Dict[str, Dict[int, float]]): Values by start and seed.
        metric (str): Name of the metric.

    Returns:
        str: A row for each start, with its values; with several seeds also their mean and standard deviation.

    Examples:
        >>> print(table(dict(random={0: 10.0, 1: 12.0}), 'mIoU').splitlines()[2])
        | random | 10 | 12 | 11 ± 1.4 |
    """
    seeds = list(next(iter(results.values())))
    titles = [f'{metric}, seed {seeds[0]}']
    if len(seeds) > 1:
        titles = [*(f'seed {seed}' for seed in seeds), f'{metric}, mean ± spread']
    lines = [f'| start | {" | ".join(titles)} |', '|---' * (len(titles) + 1) + '|']
    for name, values in results.items():
        cells = [f'{value:.4g}' for value in values.values()]
        if len(seeds) > 1:
            mean, spread = mean_and_spread(values.values())
            cells.append(f'{mean:.4g} ± {spread:.2g}')
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def last_metric(log: Path, metric: str) -> Optional[float]:
    """Find the metric of the last evaluation in a run's log.

    Args:
        log (Path): The log file.
        metric (str): Name of the metric in the log.

    Returns:
        float | None: The value, or None if there was no evaluation.

    Raises:
        ConfigError: There was an evaluation without this metric; the message lists its metrics.
    """
    found, others = None, None
    for record in read_records(log):
        if metric in record:
            found = record[metric]
        elif 'lr' not in record and 'loss' not in record:
            others = sorted(key for key in record if key not in ('step', 'time', 'data_time'))
    if found is None and others is not None:
        if not others and metric.startswith('coco/'):  # mmdet evaluates nothing if nothing is detected
            return 0.0
        raise ConfigError(
            f'{log} has no {metric!r}; it has {", ".join(others) or "no metrics"}. Give one of them as metric; the run '
            f'is kept.'
        )
    return found


def _train(config: str, source: str, options: list[str], work_dir: Path, metric: str) -> float:
    """Train once, unless this run is finished, and return the metric."""
    arguments = [config, '--student', source, '--work-dir', str(work_dir), *options]
    asked = dict(arguments=arguments, contents=contents(config, source))
    result, started = work_dir / 'result.json', work_dir / 'started.json'  # written at the end and at the start
    if result.is_file():
        told = json.loads(result.read_text())
        refuse_other(work_dir, told, asked)
        log = work_dir / told['log']
    else:
        goes_on = started.is_file() and json.loads(started.read_text()) == asked
        before = set() if goes_on else set(work_dir.glob(LOGS))  # ignore logs of other runs that were stopped
        work_dir.mkdir(parents=True, exist_ok=True)
        write_whole(started, (json.dumps(asked, indent=1) + '\n').encode())
        command = run('train', [*arguments, *(['--resume'] if goes_on else [])], work_dir / 'output.txt')
        log = max(set(work_dir.glob(LOGS)) - before, default=None)
        if log is not None:  # before reading the metric: the training is done
            told = dict(asked, command=command, log=str(log.relative_to(work_dir)))
            write_whole(result, (json.dumps(told, indent=1) + '\n').encode())
    value = last_metric(log, metric) if log else None
    if value is None:
        raise RunError(f'The run in {work_dir} ended without an evaluation. Does the config have a val_evaluator?')
    return value
