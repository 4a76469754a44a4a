"""The commands that made what a page shows, and those that come next."""

import json
import shlex
from pathlib import Path
from typing import Optional, Union

import numpy as np

from mmlgd.engine.reports.summary_hook import SLOW, next_commands
from mmlgd.errors import MMLGDError, shown
from mmlgd.store import DESCRIPTION, TeacherStore
from mmlgd.utils.files import read_small
from mmlgd.utils.options import write_options
from mmlgd.utils.validation import listed

from .blocks import Code, Text
from .folders import Result
from .results import Comparison, Evaluation, Proof, Study
from .trained import is_collapsed
from .training import RECIPE, Training

_AGAIN = 'work_dirs/again'
_NAMED = 40  # names that are written out
_RISING = 1.0  # points of agreement in the last fifth of a run: it has not finished learning


def commands_of(found: Union[Training, Result]) -> list:
    """List the commands that made a folder.

    Args:
        found (Training | Result): The folder.

    Returns:
        list: Blocks: commands, and the config that they train.
    """
    if isinstance(found, Training):
        return _training(found)
    if isinstance(found.found, Evaluation):
        return [Code([_evaluation(found.found)]), *_left_out(found.found)]
    if isinstance(found.found, Proof):
        return [Code([_proof(found.found)])]
    if isinstance(found.found, Comparison):
        recorded = [_recorded(file, 'command') for file in sorted(found.folder.glob('*/result.json'))]
    else:
        recorded = [_recorded(file, 'arguments') for file in sorted(found.folder.glob('*/train.json'))]
    if lines := [line for line in recorded if line]:
        return [Code(lines, f'{len(lines)} trainings')]
    return [Text('Its runs do not lie in its folder, so their commands are not known.')]


def next_steps(runs: list[Training], results: list[Result]) -> list:
    """Say what to do next, from what there is and what is missing.

    Args:
        runs (List[Training]): Pre-trainings of the page.
        results (List[Result]): Results of the page.

    Returns:
        list: Blocks.
    """
    kinds = {type(one.found) for one in results}
    blocks: list = []
    for run in runs:
        blocks += [Text(f'{run.name}: {advice}') for advice in _advice(run)]
        if run.checkpoint is None or run.is_cut:
            what = 'has no checkpoint yet' if run.checkpoint is None else 'has not finished'
            go_on = f'{_train(run, run.latest)} --work-dir {shlex.quote(str(run.folder))} --resume'
            blocks += [Text(f'{run.name} {what}. Unless it is still training, go on with it:'), Code([go_on])]
        if run.checkpoint is not None:
            blocks += [Code(next_commands(str(run.checkpoint)))]
    if runs and not kinds & {Evaluation, Study}:
        blocks.append(
            Text('This page has no student beside its teacher: give the folder of `mmlgd evaluate ... --teacher` too.')
        )
    if not kinds & {Comparison, Proof}:
        blocks.append(Text('Whether pre-training helps your task is told by `mmlgd prove`: give its folder, too.'))
    return blocks


def _advice(run: Training) -> list[str]:
    advice = []
    if is_collapsed(run):
        recipe = '' if run.config['model'].get('queue') else ' --recipe small-data,'  # which has a queue
        advice.append(
            f'the student uses few names. This helps: more steps (--epochs, or a smaller --batch-size),{recipe} and '
            f'names that the teacher tells apart (`mmlgd teacher` shows it).'
        )
    key = next((key for key in ('distillation/agreement', 'agreement') if key in run.curves), None)
    if key and _rise(run.curves[key][1]) > _RISING:
        advice.append('agreement was still rising at the end: more epochs will help.')
    if {'time', 'data_time'} <= set(run.curves):
        share = run.curves['data_time'][1].sum() / max(run.curves['time'][1].sum(), 1e-9)
        if share > SLOW:
            advice.append(f'{100 * share:.0f} % of a step is waiting for images: more --workers, or a teacher store.')
    if run.images and 'agreement' not in run.curves and 'distillation/agreement' not in run.curves:
        advice.append('its log has no agreement; a run of this version has one, and --val DIR one for other images.')
    return advice


def _rise(values: np.ndarray) -> float:
    """Return by how much the mean of the last fifth is above that of the fifth before; 0 for a short log."""
    fifth = len(values) // 5
    return float(values[-fifth:].mean() - values[-2 * fifth : -fifth].mean()) if fifth > 1 else 0.0


def _training(run: Training) -> list:
    store, train = _store(run), f'{_train(run, _config(run))} --work-dir {_AGAIN}'
    if run.recipe:
        lines = [train] if store is None else [_write_store(run, store), train]
        return [Code(lines), Code(run.recipe.splitlines(), f'{shown(_config(run))}, the config')]
    needed = [] if store is None else [Text(f'It reads the teacher store in {store}, which must be there.')]
    return [*needed, Code([train])]


def _train(run: Training, config: Path) -> str:
    words = ['mmlgd', 'train', str(config)]
    if (store := _store(run)) is not None and config == run.folder / RECIPE:
        words += ['--store', str(store)]  # the config in full has it already
    if run.processes > 1:
        words[:1] = ['torchrun', '--nproc_per_node', str(run.processes), '-m', 'mmlgd.cli']
        words += ['--launcher', 'pytorch']
    return shlex.join(words)


def _config(run: Training) -> Path:
    """Find the config: that of `mmlgd pretrain`, or the one that mmengine wrote in full beside the log.

    The one in the work dir itself is that of the last command there, which may have gone on, or evaluated.
    """
    return run.folder / RECIPE if run.recipe else run.first


def _store(run: Training) -> Optional[Path]:
    store = (run.config['model'].get('teacher') or {}).get('store')
    return Path(store) if isinstance(store, str) else None


def _write_store(run: Training, store: Path) -> str:
    words = ['mmlgd', 'store', str(_config(run)), '--out', str(store)]
    if (store / DESCRIPTION).is_file():
        try:
            told = TeacherStore(store)
            words += ['--views', str(told.num_views), '--seed', str(told.origin()['seed'])]
            words += told.places.options if told.places else []
        except MMLGDError as error:
            return f'# the store in {shown(store)} cannot be read: {error}'
    return shlex.join(words)


def _evaluation(found: Evaluation) -> str:
    names, first = list(found.results), next(iter(found.results.values()))
    students = [f'{name}={row.source}' for name, row in found.results.items() if name not in ('student', 'teacher')]
    words = ['mmlgd', 'evaluate', *([first.source] if names[0] == 'student' else []), '--data', found.data]
    for part in ('train', 'val'):
        words += [f'--{part}', found.folders[part]] if found.folders.get(part, part) != part else []
    for option, given in _words(found).items():
        words += [f'--{option}', *(given if len(given) <= _NAMED else [option.upper()])]
    words += ['--k', str(found.k), '--labels', *first.linear]
    words += ['--seeds', *dict.fromkeys(seed for draws in first.linear.values() for seed in draws)]
    words += [] if found.c is None else ['--c', f'{found.c:g}']
    words += [] if found.size is None else ['--size', str(found.size)]
    words += ['--backbone', found.backbone] if found.backbone else []
    words += ['--students', *students] if students else []
    words += ['--teacher-options', *found.teacher_options] if found.teacher_options else []
    return shlex.join([*words, *(['--teacher'] if 'teacher' in found.results else [])])


def _words(found: Evaluation) -> dict[str, list[str]]:
    given = dict(names=found.names, synonyms=found.synonyms)
    return {option: words for option, words in given.items() if words is not None}


def _left_out(found: Evaluation) -> list[Text]:
    """Say what stands in the place of words that are too many to be written out."""
    return [
        Text(f'{option.upper()} is a text file with the {len(words)} {option} in table.json, one a line.')
        for option, words in _words(found).items()
        if len(words) > _NAMED
    ]


def _proof(found: Proof) -> str:
    shares = sorted({share for own in found.figures.values() for share in own})
    seeds = sorted({seed for own in found.figures.values() for values in own.values() for seed in values})
    words = ['mmlgd', 'prove', '--config', found.config]
    words += ['--starts', *(f'{name}={source}' for name, source in found.starts.items())]
    words += ['--guide', found.guide] if found.guide else []
    words += ['--names', *listed(found.names)] if found.names else []
    words += ['--fractions', *(f'{share:g}%' for share in shares), '--seeds', *map(str, seeds)]
    words += ['--metric', found.metric] if found.metric else []
    options = write_options(found.cfg_options) if found.options is None else found.options
    words += ['--cfg-options', *options] if options else []
    return shlex.join(words)


def _recorded(file: Path, key: str) -> str:
    """Read the words that a comparison or a study has recorded for a run."""
    try:
        words = json.loads(read_small(file)).get(key)
    except (ValueError, RecursionError, AttributeError):
        return ''
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return ''
    words = words[words.index('train') + 1 :] if key == 'command' and 'train' in words else words
    return shlex.join(['mmlgd', 'train', *words])
