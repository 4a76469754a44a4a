"""Downstream runs of one config over starts, ways and seeds: each is trained once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from mmlgd.checkpoints.last import checkpoints_of
from mmlgd.checkpoints.starts import drop_start, start_from
from mmlgd.datasets.variables import fill_in
from mmlgd.errors import ConfigError, MissingFileError, MMLGDError
from mmlgd.run.child import RunError
from mmlgd.run.digests import digests_of_labels, digests_of_model
from mmlgd.run.guiding import check_guide
from mmlgd.run.trial import check_training
from mmlgd.utils.configs import kind_of, merge_options, read_config
from mmlgd.utils.duration import duration
from mmlgd.utils.files import sole_writer
from mmlgd.utils.logs import log_from
from mmlgd.utils.options import write_options
from mmlgd.utils.validation import require

from .metrics import evaluators_of, last_evaluation, metric_of
from .processes import Run, run_all
from .runs import command_of, contents, read_record, refuse_other, refuse_seed, write_text
from .starts import Start

LOGS = '*/vis_data/scalars.json'  # in a work dir; each start of training writes one
_GUIDE = 'model.guide.'  # options of guided runs alone
STARTED = 'started.json'  # what a folder is for, from its first start on
_RESULT = 'result.json'  # the same, and the figures of a finished run
# What a run has beside its data.
_PARTS = (
    *('model', 'data_preprocessor', 'optim_wrapper', 'param_scheduler'),
    *('train_cfg', 'default_hooks', 'custom_hooks', 'default_scope', 'load_from', 'resume'),
)
_Kind = tuple[tuple[str, ...], str]  # a guide and a way: the runs of one kind have one config


class Cell(NamedTuple):
    """One run: its start, the way it is trained in (empty: the config as it is), and its seed."""

    start: str
    way: str
    seed: int

    @property
    def row(self) -> str:
        """str: Name of the runs that differ in their seeds alone."""
        return f'{self.start}, {self.way}' if self.way else self.start


class Trained(NamedTuple):
    """A finished run.

    Attributes:
        value (float): The metric of its last evaluation, as it is in the log.
        seconds (float, optional): How long it took; None for a run that was stopped and went on, and for one of an
            earlier version, which did not record it.
        jobs (int, optional): How many runs shared the machine, likewise.
    """

    value: float
    seconds: Optional[float]
    jobs: Optional[int]


def train_grid(
    config: str,
    starts: Mapping[str, Start],
    ways: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    metric: Optional[str],
    work_dir: Path,
    cfg_options: Optional[Mapping[str, Any]] = None,
    jobs: int = 1,
) -> dict[Cell, Trained]:
    """Train from each start, in each way, with each seed; finished runs are not repeated.

    Each run is ``mmlgd train CONFIG --student START`` in a process and a folder of its own.

    Args:
        config (str): Downstream config.
        starts (Mapping[str, Start]): Starts by name.
        ways (Mapping[str, Mapping[str, Any]]): Changes to the config by name.
        seeds (Sequence[int]): Seeds of training.
        metric (str, optional): Name of the metric in the log. None is refused after the first run, with its names.
        work_dir (Path): Folder for the folders of the runs.
        cfg_options (Mapping[str, Any], optional): Changes to the config of every run; where some starts have a guide,
            those of ``model.guide``, also of the ways, are theirs alone. Defaults to None.
        jobs (int): Runs at once. Defaults to 1.

    Returns:
        Dict[Cell, Trained]: All runs, by seed, start and way.

    Raises:
        ConfigError: A folder holds another run, or one on other labels, or the config has a guide where some starts
            have one, or an option or the guide does not fit it, and then none is started; or no evaluation has the
            metric, or a config, start or label has changed while others were trained.
        CheckpointError: A student's weights do not fit the backbone of the config; then no run is started.
        DownloadError: They cannot be downloaded; likewise.
        MissingFileError: The log of a finished run, which has its figure, is gone; or a file of the guide is.
        LockedError: Another command trains in the work dir.
        WriteError: It cannot be written to.
        RunError: A run failed.
        Stopped: A signal has stopped all runs.
    """
    refuse_seed(cfg_options or {}, *ways.values())
    all_alike = not any(start.guide for start in starts.values())  # the config may have a guide itself
    common = cfg_options or {}
    cfg = read_config(config)
    require(
        all_alike or kind_of(cfg.get('model') or {}) != 'Guided',
        f'{config} has a guide already, so that a start would have it without --guide, too. Give the config of the '
        f'plain model, which is in its _base_; or leave --guide out, to compare the starts with this guide.',
    )
    changed: dict[_Kind, Config] = {}
    for start, (way, changes) in product({one.guide: one for one in starts.values()}.values(), ways.items()):
        one = changed[start.guide, way] = deepcopy(cfg)
        start.add_guide(one)
        merge_options(one, _options_of(start, {**common, **changes}, all_alike))
        fill_in(one)  # before the digests: a variable may name a file
        drop_start(one)  # each run has its own
        check_guide(one)
        evaluators_of(one)
    digests = {kind: _digests(one) for kind, one in changed.items()}
    known: dict[tuple[str, ...], dict[str, str]] = {}
    asked, folders, files, kinds = {}, {}, {}, {}
    for seed, (name, start), (way, changes) in product(seeds, starts.items(), ways.items()):
        cell, words = Cell(name, way, seed), start.words(seed)
        folder = work_dir / '_'.join(filter(None, (name, way, f'seed{seed}')))
        if other := next((one for one, its in folders.items() if its == folder), None):
            raise ConfigError(
                f'The runs of {other.row!r} and of {cell.row!r} would be in one folder, {folder}. Rename a start or a '
                f'way.'
            )
        given = _options_of(start, {**common, **changes}, all_alike)
        options = write_options({'randomness.seed': seed, **given})
        files[cell] = tuple(words)
        if files[cell] not in known:
            known[files[cell]] = contents(config, *files[cell])
        arguments = [config, *words, '--work-dir', str(folder), '--cfg-options', *options]
        kinds[cell] = start.guide, way
        asked[cell] = dict(arguments=arguments, contents=known[files[cell]], labels=digests[kinds[cell]])
        folders[cell] = folder
    is_finished = all((folder / _RESULT).is_file() for folder in folders.values())
    # A second command would start runs in the same folders, but may read finished ones. What is there is read inside
    # the lock: before, another command may have been at work.
    with nullcontext() if is_finished else sole_writer(work_dir):
        found, begun = {}, set()
        for cell, folder in folders.items():
            if told := _told_of(folder):
                refuse_other(folder, told, asked[cell])
                begun.add(cell)
            if (folder / _RESULT).is_file():
                found[cell] = _read(folder, metric)
        waiting = [cell for cell in asked if cell not in found]
        _check_first(changed, [(cell.row, kinds[cell], files[cell][1]) for cell in waiting])
        before = {cell: set(folders[cell].glob(LOGS)) for cell in waiting}  # of starts that were stopped
        took: list[float] = []

        def done(number: int, seconds: float) -> None:
            cell, folder = waiting[number], folders[waiting[number]]
            now = dict(contents=contents(config, *files[cell]), labels=_digests(changed[kinds[cell]]))
            if {**asked[cell], **now} != asked[cell]:
                (folder / STARTED).unlink()  # so that nothing goes on from its checkpoints
                raise ConfigError(
                    f'The config, the labels, other weights or the start of {cell.row}, seed {cell.seed} has changed '
                    f'since this command began, so it is not known which one was trained. Remove {folder}, and give '
                    f'files that stay as they are.'
                )
            log = max(set(folder.glob(LOGS)) - before[cell], default=None)
            if log is not None:  # before reading the metric: the training is done
                told = dict(asked[cell], command=runs[number].command, log=str(log.relative_to(folder)))
                # Of a run that went on, this is the time of its rest alone.
                told.update(seconds=None if cell in begun else round(seconds, 1), jobs=min(jobs, len(runs)))
                told.update(evaluation=last_evaluation(log))  # a log may be removed, or cut off
                write_text(folder / _RESULT, json.dumps(told, indent=1))
            found[cell] = _read(folder, metric)
            shown = f'{cell.row}, seed {cell.seed}: {metric} {found[cell].value:.4g}'
            left = len(asked) - len(found)
            took.append(seconds)
            rest = f', about {duration(-(-left // jobs) * mean(took))} left' if left else ''
            print_log(f'{shown} ({seconds:.0f} s; {len(found)} of {len(asked)}{rest})', 'current')

        runs = [
            Run(
                command_of('train', [*asked[cell]['arguments'], *(['--resume'] if cell in begun else [])]),
                folders[cell] / 'output.txt',
            )
            for cell in waiting
        ]
        print_log(f'{len(asked)} runs, of which {len(found)} are finished. Outputs are in {work_dir}.', 'current')
        for cell in waiting:
            with sole_writer(folders[cell]):  # a run may outlive its command for a moment, and would be of this record
                write_text(folders[cell] / STARTED, json.dumps(asked[cell], indent=1))
        run_all(runs, jobs, done)
    return {cell: found[cell] for cell in asked}


def _options_of(start: Start, options: Mapping[str, Any], all_alike: bool) -> dict[str, Any]:
    return {key: value for key, value in options.items() if start.guide or all_alike or not key.startswith(_GUIDE)}


def _digests(cfg: Config) -> dict[str, str]:
    return {**digests_of_labels(cfg), **digests_of_model(cfg)}


def _check_first(configs: Mapping[_Kind, Config], runs: Iterable[tuple[str, _Kind, str]]) -> None:
    """Refuse what cannot be trained, and weights that do not fit, before the runs of other starts take their hours."""
    fit: set[tuple[str, str]] = set()  # a way may change the backbone, or load weights that replace a start
    built: set[str] = set()
    for row, kind, student in runs:
        cfg = configs[kind]
        if (parts := repr([cfg.get(part) for part in _PARTS])) not in built:
            try:
                check_training(cfg)
            except MMLGDError as error:
                raise ConfigError(f'The runs of {row!r} cannot begin. {error}') from error
            built.add(parts)
        if (student, parts) not in fit:
            with log_from('ERROR'):  # the run itself will warn of a random start
                start_from(deepcopy(cfg), student)
            fit.add((student, parts))


def _told_of(folder: Path) -> dict:
    """Read what a folder is for, if it has a figure, or a checkpoint that a run would go on from."""
    if told := read_record(folder / _RESULT, 'remove it: the run then goes on from its last checkpoint'):
        return told
    if not checkpoints_of(folder):
        return {}
    return read_record(folder / STARTED, f'remove {folder}') or dict(arguments=['(not recorded)'])


def _read(folder: Path, metric: Optional[str]) -> Trained:
    """Read the metric of a run from its record; one of an earlier version names the log that has it."""
    told = read_record(folder / _RESULT, '')  # written at the end of the run
    evaluation = told.get('evaluation')
    if told and 'evaluation' not in told:
        if not (log := folder / told.get('log', LOGS)).is_file():
            raise MissingFileError(
                f'The figure of the finished run in {folder} is in its log, and there is no {log}. Put it back; or '
                f'remove {folder / _RESULT}: the run then goes on from its last checkpoint, and is evaluated again.'
            )
        evaluation = last_evaluation(log)
    if evaluation is None:
        raise RunError(f'The run in {folder} ended without an evaluation. Does the config have a val_evaluator?')
    return Trained(metric_of(evaluation, metric, folder), told.get('seconds'), told.get('jobs'))
