"""Does pre-training help? One downstream config from several starts, in several ways, over seeds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from mmlgd.utils.options import read_options
from mmlgd.utils.validation import listed

# Large packages are imported inside functions: the help of `mmlgd compare`, which reads this module, must not wait for
# them.

_CHANGES, _WAY = r'(?:[\w.]+=.*)?', 'frozen=backbone_rate=0'


def compare(
    config: str,
    *,
    starts: Sequence[str],
    metric: str,
    seeds: Sequence[int] = (0, 1, 2),
    ways: Sequence[str] = (),
    guide: Optional[str] = None,
    names: Optional[Union[str, Sequence[str]]] = None,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict[str, Any]] = None,
    jobs: int = 1,
) -> dict[str, dict[int, float]]:
    """Train one downstream config from several starts, over seeds. Does pre-training help?

    Each run is ``mmlgd train CONFIG --student START`` in a separate process; everything else is equal. Finished runs
    are not repeated and a stopped one is resumed, so the same command goes on, and you can add starts or seeds later. A
    name whose config, options or checkpoint have changed is refused. The table is written to table.md and table.json.
    For a verdict over shares of the labels, see :func:`prove`.

    Args:
        config (str): Downstream config.
        starts (Sequence[str]): NAME=START, with START as in ``mmlgd train --student``: none, a checkpoint, or a URL.
            {seed} in it stands for the seed of the run, for students that were pre-trained over the same seeds.
        metric (str): Name of the metric in the log, for example coco/bbox_mAP or mIoU.
        seeds (Sequence[int]): Seeds of training. Defaults to 0 1 2.
        ways (Sequence[str]): NAME=key=value,key=value: changes to the config; each start is trained in each way, for
            example frozen=backbone_rate=0 tuned=backbone_rate=0.1 full=, which is the config as it is. Defaults to the
            latter alone.
        guide (str, optional): A teacher that stays on, as in ``mmlgd train --guide``: each start is trained once more
            with it, as NAME+guide. Defaults to None: no guide.
        names (str | Sequence[str], optional): Names of the classes for the guide, as in ``mmlgd train --names``.
            Defaults to None: those of the data set.
        work_dir (str | Path, optional): Folder for the runs. Defaults to None: work_dirs/starts_CONFIG_NAME.
        cfg_options (dict, optional): Changes to the config of every run, ``key.subkey=value``. Defaults to None.
        jobs (int): Runs at once; with several GPUs, each has one of its own. Defaults to 1.

    Returns:
        Dict[str, Dict[int, float]]: The metric of the last evaluation, by start and seed; with several ways, by
        ``START, WAY`` and seed.

    Raises:
        ConfigError: A start, a way or a seed is invalid, an existing run is a different one, or no evaluation has the
            metric.
        CheckpointError: A start does not fit the backbone of the config; then no run is started.
        DownloadError: It cannot be downloaded; likewise.
        MissingFileError: There is no such config or start.
        LockedError: Another command trains in the work dir.
        WriteError: It cannot be written to.
        RunError: A run failed; the message says where its output is.

    Examples:
        >>> import mmlgd
        >>> mmlgd.compare(
        ...     'configs/small/detector_bccd.py',
        ...     metric='coco/bbox_mAP',
        ...     starts=['random=none', 'lgd=work_dirs/lgd/epoch_16.pth'],
        ... )  # doctest: +SKIP
    """
    from mmlgd.evaluation.options import require_once
    from mmlgd.utils.seeds import seed_number

    from .grid import train_grid
    from .processes import JOBS
    from .runs import name_of, named, split_options, write_text
    from .starts import read_starts

    seeds = [seed_number(seed) for seed in listed(seeds)]
    require_once(seeds=seeds)
    found = read_starts(starts, 'random=none', seeds, guide, names)
    texts = named(ways, 'ways', _CHANGES, _WAY) if ways else {}
    changes = {way: read_options(split_options(text)) for way, text in texts.items()}
    work_dir = Path(work_dir or Path('work_dirs') / f'starts_{name_of(config)}')
    grid = train_grid(config, found, changes or {'': {}}, seeds, metric, work_dir, cfg_options, JOBS(jobs))
    results: dict[str, dict[int, float]] = {}
    for cell, run in grid.items():
        results.setdefault(cell.row, {})[cell.seed] = run.value
    write_text(work_dir / 'table.md', table(results, metric))
    write_text(work_dir / 'table.json', json.dumps(results, indent=1))
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
    from .runs import mean_and_spread

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
