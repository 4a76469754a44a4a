"""Rates of parts of a model reach the optimizer, or the run is refused."""

import pytest
from mmengine.config import Config
from mmengine.optim import OneCycleLR

from mmlgd.errors import ConfigError
from mmlgd.run.rates import refuse_overridden_rates
from mmlgd.run.train_options import train_config
from tests import ROOT

CYCLE = dict(type='OneCycleLR', eta_max=0.002, total_steps=300, by_epoch=False)
SCALED = [dict(type='LinearLR', end=50), dict(type='CosineAnnealingLR', begin=50, end=300)]


def config(schedule, **paramwise):
    return Config(dict(model=dict(), param_scheduler=schedule, optim_wrapper=dict(paramwise_cfg=paramwise)))


@pytest.mark.parametrize(
    'schedule',
    [
        CYCLE,
        [CYCLE],
        [dict(CYCLE, type=OneCycleLR)],
        [dict(CYCLE, type='mmengine.OneCycleLR')],
        dict(student=[dict(CYCLE, type='OneCycleParamScheduler', param_name='lr')]),
    ],
)
@pytest.mark.parametrize(
    'paramwise, place',
    [
        (dict(custom_keys=dict(backbone=dict(lr_mult=0.1))), r'custom_keys\.backbone\.lr_mult is 0\.1'),
        (dict(custom_keys={'backbone.conv2': dict(lr_mult=0)}), 'lr_mult is 0,'),
        (dict(custom_keys=dict(head=dict(lr=0.1))), r'head\.lr is 0\.1'),
        (dict(bias_lr_mult=2.0), 'bias_lr_mult is 2'),
        (dict(decay_rate=0.7, decay_type='layer_wise', num_layers=12), 'decay_rate is 0.7'),
        (dict(layer_decay_rate=0.65), 'layer_decay_rate is 0.65'),
    ],
)
def test_a_schedule_that_overrides_rates_is_refused(schedule, paramwise, place):
    with pytest.raises(ConfigError, match=f'{place}.*OneCycleLR.*CosineAnnealingLR'):
        refuse_overridden_rates(config(schedule, **paramwise))


def test_what_has_its_rates_is_trained():
    refuse_overridden_rates(config([CYCLE]))
    refuse_overridden_rates(config([CYCLE], norm_decay_mult=0.0, custom_keys=dict(backbone=dict(lr_mult=1.0))))
    refuse_overridden_rates(config(SCALED, custom_keys=dict(backbone=dict(lr_mult=0.1))))
    momentum = dict(CYCLE, type='OneCycleParamScheduler', param_name='momentum')
    refuse_overridden_rates(config([*SCALED, momentum], custom_keys=dict(backbone=dict(lr_mult=0.1))))
    refuse_overridden_rates(Config(dict(param_scheduler=[CYCLE])))
    refuse_overridden_rates(Config(dict(param_scheduler=None, optim_wrapper=None)))


def test_no_config_of_ours_overrides_its_rates():
    pytest.importorskip('mmdet')
    configs = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    for path in configs:
        refuse_overridden_rates(Config.fromfile(path))
    assert len(configs) > 50


def test_training_refuses_it_before_anything_is_built(tmp_path):
    cfg = config([CYCLE], custom_keys=dict(backbone=dict(lr_mult=0.1)))
    cfg.model = dict(type='mmpretrain.ImageClassifier')
    with pytest.raises(ConfigError, match='gives all parameters the same rate'):
        train_config(cfg, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
