"""What a pre-training was, what came of it, and what it cost."""

import re
from typing import Any, Optional

import numpy as np

from mmlgd.engine.reports.answers_hook import BLIND, FEW, ONE
from mmlgd.engine.reports.curves import panels_of
from mmlgd.errors import MissingFileError, MMLGDError, brief, sentence
from mmlgd.run.inputs import count_images
from mmlgd.student import Student
from mmlgd.student.image_size import image_size
from mmlgd.text import phrasings
from mmlgd.utils.duration import duration

from .blocks import Chart, Table
from .charts import draw_lines
from .training import Training

_NAMES = 12  # that are written out
_MOST = 10_000_000  # images that are counted
_BANKS = {'text': 'class names', 'visual': 'visual bank', 'queue': 'queue of images', 'place_queue': 'queue of places'}


def answer(run: Training) -> str:
    """Say in a few sentences what came of a pre-training.

    Args:
        run (Training): The run.

    Returns:
        str: Plain sentences.
    """
    outside = run.last('distillation/agreement')
    agreement = run.last('agreement') if outside is None else outside
    where = 'the images of training' if outside is None else 'evaluation images, which it was not trained on'
    if agreement is None:
        text = (
            f'The student was trained for {run.steps:,} steps. Its log does not say how far it agrees with its teacher.'
        )
    else:
        text = f'After {run.steps:,} steps the student agrees with its teacher on {agreement:.0f} % of {where}.'
    text += ' It has not finished.' if run.is_cut else ''
    right, its = run.last('accuracy/top1'), run.last('teacher_accuracy/top1')
    if right is not None:
        beside = '' if its is None else f', and its teacher {its:.0f} %'
        text += f' It names {right:.0f} % of the evaluation images rightly{beside}.'
    used, teachers = names_used(run)
    if used is not None and teachers is not None:
        text += f' It uses {used:.1f} names where its teacher uses {teachers:.1f} (effective numbers).'
        text += ' It has collapsed onto few names.' if is_collapsed(run) else ''
        text += f' {BLIND}' if teachers < ONE else ''
    return text


def names_used(run: Training) -> tuple[Optional[float], Optional[float]]:
    """Return the effective numbers of names of student and teacher, in evaluation or else in training.

    Args:
        run (Training): The run.

    Returns:
        Tuple[float | None, float | None]: None where the log does not have it.
    """
    found = [run.last(f'distillation/{who}effective_classes') for who in ('', 'teacher_')]
    return tuple(found if None not in found else [run.last(f'{who}effective_classes') for who in ('', 'teacher_')])


def is_collapsed(run: Training) -> bool:
    """Check whether a student uses fewer than half as many names as its teacher.

    Args:
        run (Training): The run.

    Returns:
        bool: False if the log does not say.
    """
    used, teachers = names_used(run)
    return used is not None and teachers is not None and used < FEW * teachers


def facts(run: Training) -> list:
    """List what was trained.

    Args:
        run (Training): The run.

    Returns:
        list: Blocks.
    """
    names, versions = run.text.get('class_names') or [], run.machine
    height, width = image_size(run.config)
    known = {
        'mmlgd': run.meta.get('mmlgd_version'),
        'torch': versions.get('PyTorch'),
        'mmengine': versions.get('MMEngine') or run.meta.get('mmengine_version'),
    }
    rows = [
        ['folder', str(run.folder)],
        ['student', _student(run)],
        ['teacher', brief(run.text.get('teacher_id') or run.config['model'].get('teacher'), 300)],
        ['recipe', _recipe(run)],
        ['loss', _loss(run)],
        ['names', f'{len(names)}: {_some(names)}' if names else 'not known without a checkpoint'],
        ['images', _images(run)],
        ['image size', f'{height} × {width} pixels'],
        ['length', f'{run.steps:,} steps of {run.images_per_step} images, {run.steps_per_epoch} an epoch'],
        ['seed', brief((run.config.get('randomness') or {}).get('seed', 'none'))],
        ['versions', ', '.join(f'{name} {brief(value)}' for name, value in known.items() if value) or 'not recorded'],
        ['device', run.device],
        ['checkpoint', str(run.checkpoint or 'none yet')],
    ]
    return [Table([], rows)]


def curves(run: Training) -> list[Chart]:
    """Draw the curves of a run, those of curves.png.

    Args:
        run (Training): The run.

    Returns:
        List[Chart]: A chart for each panel that the log has values for.
    """
    return [
        draw_lines(title, [(*run.curves[key], *style) for key, *style in lines], limits, 'epoch')
        for title, limits, lines in panels_of(run.curves)
    ]


def cost(run: Training) -> list[str]:
    """Compute the cost of a run from its log.

    Args:
        run (Training): The run.

    Returns:
        List[str]: A row: name, time, images/s, waiting, device. Dashes if the log has no times.
    """
    if 'time' not in run.curves:
        return [run.name, '–', '–', '–', '–']
    epochs, seconds = run.curves['time']
    known = np.isfinite(seconds)
    epochs, seconds = epochs[known], seconds[known]
    if not known.any():
        return [run.name, '–', '–', '–', '–']
    steps = np.diff(epochs * run.steps_per_epoch, prepend=0)
    total = float((steps * seconds).sum())
    waits = run.curves.get('data_time', (epochs, np.zeros_like(seconds)))[1]
    return [
        run.name,
        duration(total),
        f'{run.images_per_step / max(float(np.median(seconds)), 1e-9):,.0f}',
        f'{100 * np.nansum(waits) / max(seconds.sum(), 1e-9):.0f} %',
        run.device,
    ]


def _student(run: Training) -> str:
    settings = run.config['model'].get('backbone') or {}
    plain = ', '.join(f'{key} {value}' for key, value in settings.items() if key != 'type' and _is_plain(value))
    text = f'{brief(settings.get("type"))} ({brief(plain, 200)})'
    if run.saved is None:
        return text
    student = Student(run.saved, device='cpu')
    sizes = [sum(p.numel() for p in part.parameters()) for part in (student.backbone, student.neck)]
    return f'{text}: {_many(sizes[0])} parameters, and {_many(sizes[1])} in its neck'


def _many(count: int) -> str:
    return f'{count / 1e6:.1f} million' if count >= 1e5 else f'{count:,}'


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _recipe(run: Training) -> str:
    """Name the config of ours that `mmlgd pretrain` built on, or the user's own."""
    base = re.search(r"^_base_ = '(?:.*?::|.*/configs/)?([^'\n]+)'", run.recipe, re.MULTILINE)
    return base[1] if base else brief(run.meta.get('experiment_name', 'not recorded'))


def _loss(run: Training) -> str:
    told = []
    for term in run.loss.terms:
        is_there = term.bank not in ('queue', 'place_queue') or run.config['model'].get(term.bank)
        if term.weight and is_there:
            places = ', for places' if term.on != 'image' else ''
            told.append(f'{_BANKS.get(term.bank, term.name)}{places} × {term.weight:g}')
    return '; '.join(told)


def _images(run: Training) -> str:
    if run.images is None:
        return 'not a folder'
    try:
        return f'{count_images(run.images, _MOST):,} in {run.images}, counted now'
    except MissingFileError:
        return f'{run.steps_per_epoch * run.images_per_step:,} or a few more, in {run.images}, where they are no longer'
    except MMLGDError as error:
        return f'{run.steps_per_epoch * run.images_per_step:,} or a few more. {sentence(error)}'


def _some(names: list[str]) -> str:
    first = ', '.join(phrasings(name)[0] for name in names[:_NAMES])
    return first + (f', and {len(names) - _NAMES} more' if len(names) > _NAMES else '')
