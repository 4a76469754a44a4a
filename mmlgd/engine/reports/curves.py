"""The curves of a run: read from mmengine's log of scalars, drawn into one image."""

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import numpy as np
from mmengine.logging import print_log

from mmlgd.errors import ConfigError, shown
from mmlgd.utils.files import UnreadableError, read_small, write_by
from mmlgd.utils.style import FAINT, INK, STUDENT, STYLE, TEACHER, TEXT, clipped

_LOG = 2**30  # bytes; a million records take about 400 million

_OWN = 12  # terms with names of their own: a log may come from anybody
_COUNTS = ('step', 'iter', 'epoch')
_OF_EVALUATION = (*_COUNTS, 'time', 'data_time')  # the times of its batches are none of a step

Curves = dict[str, tuple[np.ndarray, np.ndarray]]

# Of curves.png and of a report: title, limits of y, and for each curve its key in the log, its name in the legend, its
# colour and its dashes.
PANELS = [
    (
        'Distillation losses',
        (0, None),
        [
            ('loss_visual', 'visual bank', STUDENT, '-'),
            ('loss_textual', 'class names', TEXT, '-'),
            ('loss_queue', 'queue', INK, '-'),
            ('loss_cosine', '1 - cosine', STUDENT, '-'),
            ('loss_regression', 'regression', TEXT, '--'),
        ],
    ),
    (
        'Losses on places',
        (0, None),
        [
            ('loss_place_visual', 'visual bank', STUDENT, '-'),
            ('loss_place_textual', 'class names', TEXT, '-'),
            ('loss_place_queue', 'queue', INK, '-'),
            ('loss_place_cosine', '1 - cosine', STUDENT, '--'),
            ('loss_place_regression', 'regression', TEXT, '--'),
            ('loss_place_similarity', 'similarity', INK, '--'),
            ('loss_looks_similarity', 'similarity of looks', TEACHER, '--'),
        ],
    ),
    (
        'Zero-shot and k-NN top-1 (%)',
        (0, None),
        [
            ('accuracy/top1', 'student', STUDENT, '-'),
            ('teacher_accuracy/top1', 'teacher', TEACHER, '--'),
            ('distillation/leave_one_out_knn', 'student, leave-one-out k-NN', TEXT, '-'),
        ],
    ),
    (
        'Agreement with the teacher, top-1 (%)',
        (0, 103),
        [('distillation/agreement', 'evaluation', STUDENT, '-'), ('agreement', 'training', TEXT, '-')],
    ),
    ('Above the best loss over names (nats)', (0, None), [('names_excess', 'training', TEXT, '-')]),
    ('Cosine to the teacher', (None, None), [('distillation/cosine', 'cosine', STUDENT, '-')]),
    (
        'Effective number of classes',
        (0, None),
        [
            ('distillation/effective_classes', 'student', STUDENT, '-'),
            ('distillation/teacher_effective_classes', 'teacher', TEACHER, '--'),
            ('effective_classes', 'student, training', TEXT, '-'),
            ('teacher_effective_classes', 'teacher, training', INK, '--'),
        ],
    ),
    (
        'Visual bank',
        (0, 1.05),
        [
            ('bank/visited', 'rows visited (share)', INK, '-'),
            ('bank/prototype_entropy', 'prototype entropy (0: one name, 1: none)', TEXT, '-'),
        ],
    ),
]


def read_scalars(work_dir: Union[str, Path], iterations_per_epoch: int) -> Curves:
    """Read the scalars that mmengine's ``LocalVisBackend`` wrote, from all starts of a run.

    A resumed run has several logs. A later log replaces the earlier ones from its first step on, also where it has no
    values yet: an evaluation after that step is of steps that were given up. A log of a new run in the same folder
    shows only itself; the config beside it says so, or without one its first step, if it is no later than before.

    Args:
        work_dir (str | Path): Folder with ``*/vis_data/scalars.json``.
        iterations_per_epoch (int): Converts training steps into epochs.

    Returns:
        Dict[str, Tuple[ndarray, ndarray]]: Epochs (fractional for training) and values by the log's names; empty if
        there is no log.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    begun = math.inf  # the first step in the logs so far
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        later: dict[str, list[tuple[float, float]]] = {}
        first = math.inf
        for record in read_records(file):
            first = min(first, record['step'] if 'iter' in record else math.inf)
            epoch = record['step'] / iterations_per_epoch if 'iter' in record else record['step']
            for key, value in record.items():
                if _is_number(value) and key not in (_COUNTS if 'iter' in record else _OF_EVALUATION):
                    later.setdefault(key, []).append((epoch, value))
        if first < math.inf and not is_resumed(file, first > begun):
            points.clear()  # also what the new run does not log
        begun = min(begun, first)
        for key in {**points, **later}:
            values = later.get(key, [])
            begins = min([first / iterations_per_epoch, *(epoch for epoch, _ in values[:1])])
            points[key] = [point for point in points.get(key, []) if point[0] < begins] + values
    return {key: tuple(np.array(values, dtype=float).T) for key, values in points.items() if values}


def is_resumed(log: Path, otherwise: bool) -> bool:
    """Check whether a start of training went on with the run in its folder.

    Args:
        log (Path): ``scalars.json`` of the start; mmengine writes its config beside it.
        otherwise (bool): The answer without such a config.

    Returns:
        bool: Whether its config has ``resume``, which is set back where there was nothing to go on with.
    """
    config = log.with_name('config.py')
    if not config.is_file():
        return otherwise
    return re.search(r'^resume ?= ?True\s*$', read_small(config).decode(errors='replace'), re.MULTILINE) is not None


def read_records(file: Path) -> Iterator[dict]:
    """Read one log of scalars; lines that are not mmengine's records are skipped, such as half a line of a killed run.

    Args:
        file (Path): ``scalars.json``, one record per line.

    Yields:
        dict: Values by the log's names, with ``step``: the training step, or the epoch of an evaluation.
    """
    try:
        lines = read_small(file, _LOG).decode(errors='replace').splitlines()
    except UnreadableError as error:
        print_log(f'{error} Its curves are missing.', 'current', 30)
        return
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and _is_number(record.get('step')) and math.isfinite(record['step']):
            yield record


def _is_number(value: Any) -> bool:
    """Check whether a value can be drawn; it may be NaN, but must fit a float."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) > sys.float_info.max


def is_idle(key: str, values: np.ndarray) -> bool:
    """Check whether this is a loss term of weight 0: all its values are 0.

    Args:
        key (str): The log's name of the curve.
        values (ndarray): Its values.

    Returns:
        bool: Whether there is nothing to draw.
    """
    return 'loss' in key and not np.any(values)


def panels_of(curves: Curves) -> list[tuple]:
    """Choose what to draw of a log: :data:`PANELS`, and each loss term with a name of the user's own.

    Args:
        curves (Dict[str, Tuple[ndarray, ndarray]]): From :func:`read_scalars`.

    Returns:
        List[tuple]: As :data:`PANELS`, with those curves alone that the log has and that are not idle.
    """
    there = [key for key, (_, values) in curves.items() if not is_idle(key, values)]
    known = {'loss', *(key for _, _, lines in PANELS for key, *_ in lines)}
    own = [key for key in there if 'loss' in key and key not in known][:_OWN]
    panels = [*PANELS, *((clipped(shown(key)), (None, None), [(key, key, TEXT, '-')]) for key in own)]
    found = [(title, limits, [line for line in lines if line[0] in there]) for title, limits, lines in panels]
    return [panel for panel in found if panel[2]]


def draw_curves(file: Union[str, Path], curves: Curves, title: str) -> None:
    """Draw the available curves: losses, accuracies, agreement, cosine, class usage and the state of the bank.

    Args:
        file (str | Path): The PNG.
        curves (Dict[str, Tuple[ndarray, ndarray]]): From :func:`read_scalars`.
        title (str): Title of the figure.

    Raises:
        ValueError: The log has no such curve.
    """
    from matplotlib import rc_context  # takes half a second: import only to draw
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = panels_of(curves)
    if not panels:
        raise ConfigError(f'There are no distillation curves to draw; the log has {sorted(curves)}.')
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(4.9 * columns, 3.5 * rows + 0.4), layout='constrained')
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        end = max(curves[key][0].max() for panel in panels for key, *_ in panel[2])
        for axis, (heading, limits, lines) in zip(axes, panels):
            for key, label, color, dashes in lines:
                x, y = curves[key]
                # Each evaluation gets a marker; the many training steps do not.
                marks = dict(marker='o', ms=4) if dashes == '-' and len(x) <= 40 else {}
                axis.plot(x, y, color=color, ls=dashes, lw=2.2, label=label, clip_on=False, **marks)
            axis.set(title=heading, xlim=(0, end), ylim=limits)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
            if len(lines) > 1 or heading == 'Visual bank':
                axis.legend(fontsize=9.5, loc='best')
        for axis in axes[len(panels) :]:
            axis.axis('off')
        figure.supxlabel('epoch', fontsize=11, color=FAINT)
        figure.suptitle(title, x=0.01, ha='left', fontsize=11, color=FAINT)
        write_by(lambda stream: figure.savefig(stream, format='png'), file)
