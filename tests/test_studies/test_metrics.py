"""The metric of a config's evaluator: found where there is no choice, asked for with the list where there is."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.studies.metrics import obvious_metric
from tests import ROOT


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
