"""Rates of parts of a model reach the optimizer, or the run is refused."""

import pytest
import torch
from mmengine import registry as root
from mmengine.config import Config
from mmengine.optim import OneCycleLR, PolyLR

from mmlgd.errors import ConfigError
from mmlgd.run import rates
from mmlgd.run.rates import refuse_overridden_rates, refuse_unknown_optimizer
from mmlgd.run.train_options import train_config
from tests import ROOT
from tests.our_configs import config_of

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
        dict(CYCLE, type='OneCycleParamScheduler', param_name='lr'),
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


def test_an_optimizer_that_is_not_registered_is_named():
    def asked(kind, scope=None, **wrapper):
        refuse_unknown_optimizer(Config(dict(default_scope=scope, optim_wrapper=dict(wrapper, optimizer=kind))))

    for kind, scope, close in (('AdmW', None, 'AdamW'), ('Lam', 'mmpretrain', 'Lamb')):
        with pytest.raises(ConfigError, match=f'type is {kind}, .* Did you mean {close}'):
            asked(dict(type=kind), scope)
    with pytest.raises(ConfigError, match=r'write mmpretrain\.Lamb\.'):
        asked(dict(type='Lamb'))
    for kind in ('SGD', 'mmpretrain.Lamb', torch.optim.SGD):
        asked(dict(type=kind))
    asked(dict(type='Lamb'), 'mmpretrain')
    asked(dict(type='both'), constructor='Mine')
    asked(torch.optim.SGD([torch.zeros(1)], lr=1.0))  # built already


def test_an_optimizer_of_a_library_that_nothing_has_imported_yet_is_named(monkeypatch):
    monkeypatch.setattr(root.OPTIMIZERS, '_children', {})
    monkeypatch.setattr(rates, 'find_class', lambda kind, *_: kind == 'mmpretrain.Lamb')
    with pytest.raises(ConfigError, match=r'write mmpretrain\.Lamb\.'):
        refuse_unknown_optimizer(Config(dict(default_scope='mmdet', optim_wrapper=dict(optimizer=dict(type='Lamb')))))


POLY = dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=8000, by_epoch=False)
SGD = dict(type='SGD', lr=0.01)


def floored(schedule, rate, **more):
    paramwise = dict(custom_keys=dict(backbone=dict(lr_mult=rate)))
    return Config(dict(param_scheduler=schedule, optim_wrapper=dict(optimizer=SGD, paramwise_cfg=paramwise), **more))


@pytest.mark.parametrize(
    'schedule, message',
    [
        ([POLY], r'PolyLR .* eta_min=0.0001: .*Set param_scheduler\.0\.eta_min=0\. To freeze'),
        (dict(POLY, type='PolyParamScheduler', param_name='lr'), r'Set param_scheduler\.eta_min=0\. '),
        ([dict(type='CosineAnnealingLR', eta_min=1e-4)], 'eta_min=0, or give eta_min_ratio instead'),
        ([dict(type='CosineRestartLR', eta_min=1e-4, periods=[9])], 'or give eta_min_ratio'),
        ([dict(type='ReduceOnPlateauLR', min_value=1e-4)], 'min_value=0'),
    ],
)
@pytest.mark.parametrize('rate', [0, 0.0, 0.001])
def test_a_lowest_rate_that_lifts_a_part_is_refused(schedule, rate, message):
    with pytest.raises(ConfigError, match=f'lr_mult is {rate}, .*{message}'):
        refuse_overridden_rates(floored(schedule, rate))


def test_mmengine_does_lift_a_rate_of_0():
    """The fault that the refusal is about."""
    used, frozen = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([dict(params=[used]), dict(params=[frozen], lr=0.0)], lr=0.01)
    schedule = PolyLR(optimizer, eta_min=1e-4, end=10, by_epoch=False)
    for _ in range(9):
        optimizer.step()
        schedule.step()
    assert [group['lr'] for group in optimizer.param_groups] == pytest.approx([1e-4, 1e-4])


def test_a_lowest_rate_below_all_rates_is_a_choice():
    refuse_overridden_rates(floored([POLY], 0.1))
    refuse_overridden_rates(floored([POLY], 1.0))
    refuse_overridden_rates(floored([POLY], None))  # a variable that is not filled in
    refuse_overridden_rates(floored([dict(POLY, eta_min=0.0)], 0))
    refuse_overridden_rates(floored([dict(type='CosineAnnealingLR', eta_min_ratio=0.01)], 0))
    refuse_overridden_rates(floored([dict(type='PolyMomentum', eta_min=0.5)], 0.1))
    layers = dict(optimizer=SGD, paramwise_cfg=dict(decay_rate=0.7, num_layers=12))
    refuse_overridden_rates(Config(dict(param_scheduler=[POLY], optim_wrapper=layers)))


def test_a_backbone_without_gradients_is_not_lifted():
    hook = dict(type='mmlgd.FrozenBackboneHook')
    refuse_overridden_rates(floored([POLY], 0.0, default_hooks=dict(frozen=hook)))
    refuse_overridden_rates(floored([POLY], 0.0, custom_hooks=[hook]))
    with pytest.raises(ConfigError, match='would rise'):
        refuse_overridden_rates(floored([POLY], 0.001, custom_hooks=[hook]))
    part = Config(
        dict(
            param_scheduler=[POLY],
            optim_wrapper=dict(paramwise_cfg=dict(custom_keys={'backbone.conv1': dict(lr_mult=0)})),
            custom_hooks=[hook],
        )
    )
    with pytest.raises(ConfigError, match=r'backbone\.conv1\.lr_mult is 0.*would rise'):
        refuse_overridden_rates(part)


def several(schedule):
    slow = dict(optimizer=SGD, paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
    wrappers = dict(constructor='Two', student=slow, critic=dict(optimizer=SGD))
    return Config(dict(param_scheduler=schedule, optim_wrapper=wrappers))


def test_each_optimizer_is_compared_with_its_own_schedules():
    refuse_overridden_rates(several(dict(student=SCALED, critic=[CYCLE])))
    refuse_overridden_rates(several(dict(critic=CYCLE)))
    for schedule in (dict(student=[CYCLE], critic=SCALED), [CYCLE], CYCLE):  # without names they are for all
        with pytest.raises(ConfigError, match=r'optim_wrapper\.student\.paramwise_cfg.*is 0\.1, but OneCycleLR'):
            refuse_overridden_rates(several(schedule))
    with pytest.raises(ConfigError, match=r'Set param_scheduler\.student\.0\.eta_min=0'):
        refuse_overridden_rates(several(dict(student=[dict(POLY, eta_min=0.005)], critic=[])))


def test_no_config_of_ours_overrides_its_rates():
    pytest.importorskip('mmdet')
    configs = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    for path in configs:
        refuse_overridden_rates(config_of(path))
    assert len(configs) > 50


def test_training_refuses_it_before_anything_is_built(tmp_path):
    cfg = config([CYCLE], custom_keys=dict(backbone=dict(lr_mult=0.1)))
    cfg.model = dict(type='mmpretrain.ImageClassifier')
    with pytest.raises(ConfigError, match='gives all parameters the same rate'):
        train_config(cfg, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_run_with_a_misspelt_optimizer_is_refused(tmp_path):
    cfg = config(None)
    cfg.optim_wrapper.optimizer = dict(type='AdmW', lr=0.1)
    with pytest.raises(ConfigError, match='Did you mean AdamW'):
        train_config(cfg, work_dir=tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_run_shorter_than_its_warm_up_is_refused():
    with pytest.raises(ConfigError, match='param_scheduler.1.* begins at 50 and ends at 20.*iterations=100'):
        train_config(ROOT / 'configs/small/detector_bccd.py', student='none', cfg_options=dict(iterations=20))
