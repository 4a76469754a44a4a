"""What trains is built before the first run, as the runner builds it; what the trial builds changes nothing."""

from textwrap import dedent

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.optim.scheduler import LinearLR
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS, DefaultScope

from mmlgd.errors import ConfigError
from mmlgd.run.trial import check_training


def config(**changes):
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=64),
    )
    optimizer = dict(optimizer=dict(type='SGD', lr=0.1))
    return Config(dict(dict(default_scope='mmpretrain', model=model, optim_wrapper=optimizer), **changes))


@pytest.fixture
def two_optimizers():
    """One for the backbone, and one for the head."""

    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(name='Two')
    class Two:
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            pass

        def __call__(self, model):
            parts = dict(backbone=model.backbone, head=model.head)
            return OptimWrapperDict(
                **{name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.1)) for name, part in parts.items()}
            )

    yield dict(constructor='Two')
    OPTIM_WRAPPER_CONSTRUCTORS.module_dict.pop('Two')


def test_each_of_two_optimizers_has_its_schedules(two_optimizers):
    warm_up = dict(type='LinearLR', convert_to_iter_based=True)
    by_name = dict(backbone=warm_up, head=[warm_up, dict(type='StepLR', step_size=1)])
    for schedules in (warm_up, [warm_up], by_name, None):
        check_training(config(optim_wrapper=two_optimizers, param_scheduler=schedules))
    by_name['head'][1]['typo'] = 1
    for schedules in (by_name['head'], by_name):
        with pytest.raises(ConfigError, match='typo'):
            check_training(config(optim_wrapper=two_optimizers, param_scheduler=schedules))


def test_a_schedule_that_needs_an_end_has_that_of_the_run(monkeypatch):
    class Ending(LinearLR):
        def __init__(self, optimizer, end, **settings):
            assert end < 10**9, 'never ends'  # as QuadraticWarmupLR of mmdet
            super().__init__(optimizer, end=end, **settings)

    monkeypatch.setitem(PARAM_SCHEDULERS.module_dict, 'Ending', Ending)
    check_training(config(param_scheduler=dict(type='Ending')))


def test_a_schedule_that_begins_after_the_training_ends_is_refused():
    late = dict(type='CosineAnnealingLR', begin=5)
    steps, epochs = dict(type='IterBasedTrainLoop', max_iters=8), dict(by_epoch=True, max_epochs=5)
    for schedule, loop in ((late, steps), (late, epochs), (dict(late, begin=8, by_epoch=False), steps)):
        with pytest.raises(ConfigError, match='end should be larger than begin'):
            check_training(config(param_scheduler=schedule, train_cfg=loop))
    for schedule, loop in ((late, dict(epochs, max_epochs=6)), (dict(late, by_epoch=False), epochs), (late, None)):
        check_training(config(param_scheduler=schedule, train_cfg=loop))


def test_a_schedule_of_steps_is_not_converted_to_steps():
    with pytest.raises(ConfigError, match='Only epoch-based'):
        check_training(config(param_scheduler=dict(type='LinearLR', by_epoch=False, convert_to_iter_based=True)))


@pytest.mark.parametrize(
    'schedule', [dict(type='LinearLR', end=0.5), dict(type='OneCycleLR', eta_max=0.1, total_steps=10, pct_start=0.1)]
)
def test_a_schedule_may_end_within_an_epoch_that_is_converted_to_steps(schedule):
    check_training(config(param_scheduler=dict(schedule, convert_to_iter_based=True)))


def test_what_a_run_refuses_of_optimizers_and_rates_is_refused_here():
    rates, cycle = dict(bias_lr_mult=2.0), dict(type='OneCycleLR', eta_max=0.1, total_steps=9)
    for optimizer, schedule, said in (
        (dict(type='AdmW'), None, 'Did you mean AdamW'),
        (dict(type='SGD', lr=0.1), cycle, 'bias_lr_mult is 2'),
        (dict(type='SGD', lr=0.1), dict(type='LinearLR', begin=5, end=5), 'begins at 5 and ends at 5'),
    ):
        with pytest.raises(ConfigError, match=said):
            check_training(
                config(optim_wrapper=dict(optimizer=optimizer, paramwise_cfg=rates), param_scheduler=schedule)
            )


def test_classes_of_a_lazy_config_stay_classes(tmp_path):
    (tmp_path / 'base.py').write_text('default_scope = "mmpretrain"')
    (tmp_path / 'lazy.py').write_text(
        dedent("""
        from mmengine.config import read_base
        with read_base():
            from .base import *
        from torch.nn import SiLU
        from torch.optim import SGD
        from mmpretrain.models import GlobalAveragePooling, ImageClassifier, LinearClsHead, TIMMBackbone
        backbone = dict(type=TIMMBackbone, model_name='test_resnet', act_layer=SiLU)
        head = dict(type=LinearClsHead, num_classes=2, in_channels=96)
        model = dict(type=ImageClassifier, backbone=backbone, neck=dict(type=GlobalAveragePooling), head=head)
        optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.1))
        """)
    )
    check_training(Config.fromfile(tmp_path / 'lazy.py'))


def test_the_config_the_scope_and_the_random_numbers_stay_as_they_are():
    drawn = torch.get_rng_state()
    cfg = config(data_preprocessor=dict(mean=[0.0] * 3, std=[1.0] * 3))
    told = cfg.pretty_text
    with DefaultScope.overwrite_default_scope('mmseg'):
        check_training(cfg)
        assert cfg.pretty_text == told and DefaultScope.get_current_instance().scope_name == 'mmseg'
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize('guide', [None, 3, {}])
def test_a_guided_model_without_a_guide_is_told(guide):
    model = dict(config().model, type='mmlgd.Guided', plain='ImageClassifier', guide=guide)
    with pytest.raises(ConfigError, match='mmlgd.Guided needs guide'):
        check_training(config(model=model))
