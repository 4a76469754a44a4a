"""A misspelt option is refused with the nearest setting; a new one that something may read stays possible."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.utils.configs import merge_options, read_config

PRETRAINING = 'mmlgd::small/lgd_resnet18_1xb64-onecycle_images.py'
DETECTOR = 'mmlgd::small/detector_bccd.py'


@pytest.mark.parametrize(
    'option, nearest',
    [
        ('modle.backbone.depth', 'no modle. Did you mean model?'),
        ('data_rot', 'has no data_rot.'),
        ('model.bakbone.depth', 'no setting bakbone. Did you mean backbone?'),
        ('model.backbone.dept', 'Did you mean depth?'),
        ('train_dataloader.datset.data_root', 'Did you mean dataset?'),
        ('train_dataloader.bach_size', 'Did you mean batch_size?'),
        ('optim_wrapper.optimizer.weight_dekay', 'Did you mean weight_decay?'),
        ('param_scheduler.0.eta_mx', 'Did you mean eta_max?'),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest_one(option, nearest):
    with pytest.raises(ConfigError) as caught:
        merge_options(read_config(PRETRAINING), {option: 1})
    assert option in str(caught.value) and nearest in str(caught.value)


@pytest.mark.parametrize(
    'options',
    [
        {'load_from': 'a.pth'},
        {'custom_hooks': [dict(type='mmlgd.EMAHook')]},
        {'randomness.deterministic': True},
        {'auto_scale_lr.enable': True},
        {'visualizer.vis_backends': []},
        {'model.backbone.frozen_stages': 1},  # an argument that the config leaves out
        {'model.loss.type': 'mmlgd.DistillationLoss', 'model.loss.terms': []},  # of the new type
        {'model.text._delete_': True, 'model.text.vocabulary': 'coco'},
        {'default_hooks.mine.type': 'mmlgd.EMAHook'},
        {'train_dataloader.pin_memory': True, 'train_dataloader.prefetch_factor': 4},
        {'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult': 0.1},
        {'train_dataloader.dataset.test_mode': True},  # handed on to a base
    ],
)
def test_a_new_setting_that_something_reads_is_taken(options):
    merge_options(read_config(PRETRAINING), options)


def test_a_part_of_another_library_is_asked_in_its_scope():
    pytest.importorskip('mmdet')
    merge_options(read_config(DETECTOR), {'model.bbox_head.loss_cls.gamma': 1.5, 'model.test_cfg.anything': 1})
    with pytest.raises(ConfigError, match='model.bbox_head, a ATSSHead, has no setting stacked_conv. Did you mean'):
        merge_options(read_config(DETECTOR), {'model.bbox_head.stacked_conv': 2})
    merge_options(read_config(DETECTOR), {'model.guide.teacher.places_size': 448})  # --guide takes it out


def test_the_check_warns_of_nothing(capfd, caplog):
    merge_options(read_config(PRETRAINING), {'model.backbone.frozen_stages': 1})
    assert 'Failed to search registry' not in capfd.readouterr().out + caplog.text


def test_a_class_of_the_users_own_is_asked_as_well():
    class Mine:
        def __init__(self, width=1): ...

    cfg = Config(dict(model=dict(type=Mine)))
    merge_options(cfg, {'model.width': 2})
    with pytest.raises(ConfigError, match='no setting wdth. Did you mean width'):
        merge_options(cfg, {'model.wdth': 2})
