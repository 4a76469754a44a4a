"""The metric of a downstream run: found in its config, and read from its log."""

import math
from pathlib import Path
from typing import NamedTuple, Optional

from mmengine.config import Config

from mmlgd.engine.reports.curves import read_records
from mmlgd.errors import ConfigError, brief
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import listed


class Unit(NamedTuple):
    """How the figures of a metric are written.

    Attributes:
        word (str): Name for readers.
        factor (float): From the log's figures to those of the table, in which a share is in per cent.
        digits (str): Format of a figure.
    """

    word: str
    factor: float = 1
    digits: str = '.1f'


# The first metric of the libraries' evaluators, by its name in the log.
_UNITS = {
    'coco/bbox_mAP': Unit('AP', 100),
    'coco/segm_mAP': Unit('mask AP', 100),
    'lvis/bbox_AP': Unit('AP', 100),
    'lvis/segm_AP': Unit('mask AP', 100),
    'pascal_voc/mAP': Unit('AP', 100),
    'mIoU': Unit('mIoU'),
    'accuracy/top1': Unit('top-1'),
}


def unit_of(metric: str) -> Unit:
    """Return how the figures of a metric are written.

    Args:
        metric (str): Its name in the log.

    Returns:
        Unit: For a metric that is not known, the figures are those of the log.

    Examples:
        >>> unit_of('coco/bbox_mAP').word, unit_of('recall').word
        ('AP', 'recall')
    """
    return _UNITS.get(metric, Unit(metric, digits='.3g'))


def obvious_metric(cfg: Config) -> Optional[str]:
    """Find the metric of a config's evaluator, if there is no choice.

    Args:
        cfg (Config): Of a downstream run.

    Returns:
        str | None: Its name in the log; None if the evaluator is not known.

    Raises:
        ConfigError: The config evaluates nothing, or has several such metrics; the message lists them.

    Examples:
        >>> obvious_metric(Config(dict(val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']))))
        'mIoU'
    """
    found = [name for one in evaluators_of(cfg) for name in _names(one) if name in _UNITS]
    if len(found) > 1:
        raise ConfigError(f'The config has several metrics: {", ".join(found)}. Give one of them as metric.')
    return found[0] if found else None


def evaluators_of(cfg: Config) -> list[dict]:
    """List the evaluators of a config.

    Args:
        cfg (Config): Of a downstream run.

    Returns:
        List[dict]: One or more.

    Raises:
        ConfigError: The config evaluates nothing.
    """
    found = [one for one in listed(cfg.get('val_evaluator') or []) if one]
    if not found:
        raise ConfigError('The config has no val_evaluator, so its runs would end without a figure. Give it one.')
    return found


def _names(evaluator: dict) -> list[str]:
    """List what could be an evaluator's first metric; names that the evaluator does not have are none in ``_UNITS``."""
    kind = kind_of(evaluator)
    if 'prefix' in evaluator:  # other names in the log
        return []
    if kind in ('CocoMetric', 'LVISMetric'):
        form = 'coco/{}_mAP' if kind == 'CocoMetric' else 'lvis/{}_AP'
        return [form.format(one) for one in listed(evaluator.get('metric', 'bbox'))]
    if kind == 'VOCMetric':
        return ['pascal_voc/mAP']
    if kind == 'IoUMetric':
        return listed(evaluator.get('iou_metrics', ['mIoU']))
    if kind == 'Accuracy' and not isinstance(evaluator.get('thrs', 0.0), (list, tuple)):
        return ['accuracy/top1'] if 1 in listed(evaluator.get('topk', 1)) else []
    return []


def last_evaluation(log: Path) -> Optional[dict]:
    """Find the last evaluation in a run's log, after all of its steps.

    Args:
        log (Path): The log file.

    Returns:
        dict | None: Its metrics by name, or None if there was no evaluation after the last step in the log.
    """
    found = None
    for record in read_records(log):
        metrics = {key: value for key, value in record.items() if key not in ('step', 'time', 'data_time')}
        if 'lr' in record or 'loss' in record:  # what was evaluated before this step is not the result of the run
            found = None
        else:
            found = metrics if 'time' in record else {**(found or {}), **metrics}  # mmengine has it in each evaluation
    return found


def metric_of(evaluation: dict, metric: Optional[str], run: Path) -> float:
    """Read the metric of an evaluation.

    Args:
        evaluation (dict): From :func:`last_evaluation`.
        metric (str, optional): Name of the metric in the log. None is refused, with the list of names.
        run (Path): Folder of the run, for the message.

    Returns:
        float: The value.

    Raises:
        ConfigError: The evaluation does not have this metric; the message lists its metrics. Or it is no number.
    """
    if metric not in evaluation:
        if not evaluation and str(metric).startswith('coco/'):  # mmdet evaluates nothing if nothing is detected
            return 0.0
        told = f'{run} has no {metric!r}; it has' if metric else f'No metric was given, and {run} has'
        raise ConfigError(
            f'{told} {", ".join(sorted(evaluation)) or "no metrics"}. Give one of them as metric; the run is kept.'
        )
    found = evaluation[metric]
    if not (isinstance(found, (int, float)) and math.isfinite(found)):
        raise ConfigError(
            f'{metric} is {brief(found)} in the last evaluation of {run}, which is no figure to compare. Give another '
            f'metric, or leave this start out; the run is kept.'
        )
    return found
