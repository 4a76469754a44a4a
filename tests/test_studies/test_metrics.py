"""The metric of a config's evaluator: found where there is no choice, asked for with the list where there is."""

import json

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.studies.metrics import last_evaluation, metric_of, obvious_metric
from tests import ROOT

TRAINED = dict(lr=0.1, loss=1.0, time=1)


@pytest.mark.parametrize(
    'evaluator, metric',
    [
        (dict(type='CocoMetric', metric='bbox'), 'coco/bbox_mAP'),
        (dict(type='CocoMetric'), 'coco/bbox_mAP'),
        (dict(type='mmdet.LVISMetric', metric=['segm']), 'lvis/segm_AP'),
        (dict(type='VOCMetric', metric='mAP'), 'pascal_voc/mAP'),
        (dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice']), 'mIoU'),
        (dict(type='Accuracy', topk=(1, 5)), 'accuracy/top1'),
        ([dict(type='Accuracy'), dict(type='SingleLabelMetric')], 'accuracy/top1'),
        (dict(type='Accuracy', topk=(5,)), None),
        (dict(type='CocoMetric', metric='proposal'), None),
        (dict(type='CocoMetric', prefix='mine'), None),
        (dict(type='Own'), None),
    ],
)
def test_the_metric_of_an_evaluator(evaluator, metric):
    assert obvious_metric(Config(dict(val_evaluator=evaluator))) == metric


def test_two_metrics_are_a_choice():
    with pytest.raises(ConfigError, match='several metrics: coco/bbox_mAP, coco/segm_mAP. Give one'):
        obvious_metric(Config(dict(val_evaluator=dict(type='CocoMetric', metric=['bbox', 'segm']))))


@pytest.mark.parametrize('evaluator', [None, []])
def test_a_config_without_an_evaluation(evaluator):
    with pytest.raises(ConfigError, match='no val_evaluator'):
        obvious_metric(Config(dict(val_evaluator=evaluator)))


@pytest.mark.parametrize('name, metric', [('detector_bccd', 'coco/bbox_mAP'), ('segmentor_camvid', 'mIoU')])
def test_the_small_configs_have_one(name, metric):
    assert obvious_metric(Config.fromfile(ROOT / f'configs/small/{name}.py')) == metric


@pytest.mark.parametrize(
    'lines, value',
    [
        ([TRAINED, dict(mIoU=3.0, time=1)], 3.0),
        ([TRAINED, dict(mIoU=3.0, time=1), TRAINED], None),  # stopped before its last evaluation
        ([TRAINED, {'coco/bbox_mAP': 0.3, 'time': 1}, TRAINED, dict(data_time=1, time=1)], 0.0),  # nothing detected
    ],
)
def test_the_figure_is_that_of_the_last_step(tmp_path, lines, value):
    log = tmp_path / 'scalars.json'
    log.write_text('\n'.join(json.dumps(dict(line, step=k)) for k, line in enumerate(lines)))
    found = last_evaluation(log)
    assert (found and metric_of(found, 'mIoU', tmp_path)) == value if value != 0 else found == {}


def test_a_detector_that_finds_nothing_has_no_precision(tmp_path):
    assert metric_of({}, 'coco/bbox_mAP', tmp_path) == 0
    with pytest.raises(ConfigError, match="no 'mIoU'; it has no metrics"):
        metric_of({}, 'mIoU', tmp_path)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), 'high', [1.0]])
def test_what_is_no_number_is_no_figure(tmp_path, value):
    with pytest.raises(ConfigError, match='mIoU is .* which is no figure to compare'):
        metric_of(dict(mIoU=value), 'mIoU', tmp_path)
