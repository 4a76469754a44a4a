"""Did pre-training help, and was it worth it? Starts over shares of the labels and seeds, and a verdict."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.logging import print_log

from mmlgd.errors import ConfigError
from mmlgd.utils.validation import listed, require

# Large packages are imported inside functions: the help of `mmlgd prove`, which reads this module, must not wait for
# them.


def prove(
    *,
    config: str,
    starts: Sequence[str],
    fractions: Sequence[str] = ('10%', '100%'),
    seeds: Sequence[int] = (0, 1, 2),
    guide: Optional[str] = None,
    names: Optional[Union[str, Sequence[str]]] = None,
    metric: Optional[str] = None,
    jobs: int = 1,
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict[str, Any]] = None,
) -> dict:
    """Did pre-training help, with few and with all labels? Train one downstream config from several starts, over seeds.

    Each run is ``mmlgd train CONFIG --student START`` in a separate process, with the same number of steps for every
    start and every share of the labels. The seed of a run draws its images, and larger shares contain smaller ones.
    Finished runs are not repeated: run the same command again after an interruption, or add starts, fractions and seeds
    later. A run whose start, config, options or labels have changed is refused. The results are table.md with the
    verdict first, table.json and learning_curve.png.

    Args:
        config (str): Downstream config of mmdet, mmseg, mmpretrain or mmlgd.
        starts (Sequence[str]): NAME=START, two or more, with START as in ``mmlgd train --student``: none, a checkpoint,
            or a URL. The others are compared with the first. {seed} in START stands for the seed of the run.
        fractions (Sequence[str]): Shares of the labelled images. Defaults to 10% 100%.
        seeds (Sequence[int]): Seeds of training, and of the images that are drawn. Defaults to 0 1 2.
        guide (str, optional): A teacher that stays on, as in ``mmlgd train --guide``: each start is trained once more
            with it, as NAME+guide. Defaults to None: no guide.
        names (str | Sequence[str], optional): Names of the classes for the guide, as in ``mmlgd train --names``.
            Defaults to None: those of the data set.
        metric (str, optional): Name of the metric in the log, the higher the better, for example coco/bbox_mAP.
            Defaults to None: the one of the config's evaluator.
        jobs (int): Runs at once; with several GPUs, each has one of its own. Defaults to 1.
        work_dir (str | Path, optional): Folder for the runs. Defaults to None: work_dirs/prove_CONFIG_NAME.
        cfg_options (dict, optional): Changes to the config of every run, ``key.subkey=value``. Defaults to None.

    Returns:
        dict: The content of table.json: ``verdict`` and ``notes`` (sentences), ``figures`` and ``seconds`` by start,
        share in per cent and seed, ``gains`` over the first start, or of a guided one over the same start alone,
        and ``worth``, the equal share of the other's labels.

    Raises:
        ConfigError: A start, fraction, seed or option is invalid, the config has no sampler that gives a share, its
            labels cannot be used, an existing run is a different one, or the metric must be given.
        CheckpointError: A start does not fit the backbone of the config; then no run is started.
        DownloadError: It cannot be downloaded; likewise.
        MissingFileError: There is no such config or start.
        LockedError: Another command trains in the work dir.
        WriteError: It cannot be written to.
        RunError: A run failed; the message names its output.

    Examples:
        >>> import mmlgd
        >>> mmlgd.prove(
        ...     config='configs/small/detector_bccd.py',
        ...     starts=['random=none', 'lgd=work_dirs/lgd/epoch_16.pth'],
        ... )['verdict']  # doctest: +SKIP
        ['lgd is +2.2 ± 0.5 AP over random with 100 % of the labels, on 3 of 3 seeds (95 % interval ...']
    """
    from mmlgd.datasets.variables import fill_in
    from mmlgd.evaluation.options import require_once
    from mmlgd.run.labelled import check_labelled
    from mmlgd.utils.configs import merge_options, read_config
    from mmlgd.utils.files import require_writable
    from mmlgd.utils.options import write_options
    from mmlgd.utils.seeds import seed_number

    from .gains import gain_of, worth_in_labels
    from .grid import train_grid
    from .metrics import obvious_metric, unit_of
    from .processes import JOBS
    from .proof import draw, table_of
    from .runs import mean_and_spread, name_of, write_text
    from .shares import read_shares, share_options
    from .starts import read_starts
    from .verdict import verdict_of

    shares, seeds = read_shares(fractions), [seed_number(seed) for seed in listed(seeds)]
    require_once(seeds=seeds)
    compared = read_starts(starts, 'random=none lgd=work_dirs/RUN/epoch_200.pth', seeds, guide, names)
    sources = {name: start.student for name, start in compared.items() if not start.guide}
    other = 'lgd=CHECKPOINT' if 'none' in sources.values() else 'random=none'
    require(
        len(compared) > 1,
        f'--starts has {", ".join(sources)} alone. Give another one, for example {other}; or give a --guide.',
    )
    jobs = JOBS(jobs)
    if len(seeds) > 1 and find_spec('scipy') is None:
        raise ConfigError('The interval needs scipy: `pip install "mmlgd[evaluation]"`.')
    cfg = read_config(config)
    merge_options(cfg, cfg_options)
    fill_in(cfg)
    found = obvious_metric(cfg) if metric is None else metric
    ways = {f'{share:g}percent': share_options(cfg, share) for share in shares}
    check_labelled(cfg)
    work_dir = Path(work_dir or Path('work_dirs') / f'prove_{name_of(config)}')
    require_writable(work_dir)  # before images are read
    notes = _notes(cfg, sources, shares, seeds)
    grid = train_grid(config, compared, ways, seeds, found, work_dir, cfg_options, jobs)

    unit = unit_of(found)
    figures: dict[str, dict[float, dict[int, float]]] = {name: {share: {} for share in shares} for name in compared}
    seconds: dict[str, dict[float, dict[int, Optional[float]]]] = {name: {s: {} for s in shares} for name in compared}
    percents = dict(zip(ways, shares))
    for (name, way, seed), run in grid.items():
        figures[name][percents[way]][seed] = unit.factor * run.value
        seconds[name][percents[way]][seed] = run.seconds
    if (most := max(run.jobs or 1 for run in grid.values())) > 1:
        notes.append(f'Up to {most} runs shared the machine, so a run took longer than alone.')
    bases = {name: start.base for name, start in compared.items() if start.base}
    report = dict(
        verdict=verdict_of(figures, bases, unit),
        notes=notes,
        config=config,
        cfg_options=cfg_options or {},
        options=write_options(cfg_options or {}),  # JSON has no tuples
        starts=sources,
        guide=guide,
        names=names,
        metric=found,
        unit=unit.word,
        figures=figures,
        seconds=seconds,
        gains={
            name: {share: gain_of(figures[name][share], figures[base][share])._asdict() for share in shares}
            for name, base in bases.items()
        },
        worth={
            name: {
                share: worth_in_labels(mean_and_spread(figures[name][share].values())[0], figures[base])._asdict()
                for share in shares[:-1]
            }
            for name, base in bases.items()
        },
        table=table_of(figures, seconds, bases, unit),
    )
    write_text(work_dir / 'table.md', page(report) + '\n\n![learning curves](learning_curve.png)')
    write_text(work_dir / 'table.json', json.dumps(report, indent=1))
    draw(work_dir / 'learning_curve.png', figures, unit, name_of(config))
    return report


def page(report: dict) -> str:
    """Write the verdict, the table and the notes.

    Args:
        report (dict): From :func:`prove`.

    Returns:
        str: Markdown.
    """
    verdict, notes = ('\n'.join(f'- {one}' for one in report[key]) for key in ('verdict', 'notes'))
    return f'# Did it help?\n\n{verdict}\n\n{report["table"]}\n\n{notes}'


def _notes(cfg: Any, sources: dict[str, str], shares: Sequence[float], seeds: Sequence[int]) -> list[str]:
    """Say what the starts have seen of the evaluation, and how many labels the shares are: before hours of training."""
    from mmlgd.checkpoints.starts import kept_random

    from .drawn import drawn_otherwise
    from .overlap import seen_before

    files = {
        name if '{seed}' not in source else f'{name}, seed {seed}': source.replace('{seed}', str(seed))
        for name, source in sources.items()
        for seed in seeds
    }
    told = [*seen_before(cfg, files).values(), *drawn_otherwise(cfg, shares, seeds[0])]
    if 'none' in files.values() and (frozen := kept_random(cfg)):
        told.append(f'WARNING: {frozen}')
    for one in told:
        print_log(one, 'current', 20 if one.startswith('None of') else 30)
    return [
        *told,
        'Spread: standard deviation over seeds; gains are paired by seed. The interval is a percentile bootstrap of '
        'the mean gain: with a few seeds it is too narrow.',
        'All runs make the same number of steps. Equal shares of labels are interpolated between the means of '
        'the start compared with, linear in the logarithm of the share.',
    ]
