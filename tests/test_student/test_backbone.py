"""A student comes out of its checkpoint, or out of a config, ready to use."""

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.checkpoints import CheckpointError, read_checkpoint


def test_a_student_has_the_weights_of_its_checkpoint(lgd_checkpoint):
    student = mmlgd.get_student(lgd_checkpoint)
    assert not student.training
    state = read_checkpoint(lgd_checkpoint)['state_dict']
    for key, value in student.state_dict().items():
        torch.testing.assert_close(value, state[f'backbone.{key}'])
    (feature,) = student(torch.rand(1, 3, 64, 64))
    assert feature.shape == (1, 64, 2, 2)


def test_options_of_the_backbone(lgd_checkpoint):
    student = mmlgd.get_student(lgd_checkpoint, out_indices=(0, 1, 2, 3))
    assert [x.shape[1] for x in student(torch.rand(1, 3, 64, 64))] == [8, 16, 32, 64]


def test_a_student_of_another_width_is_refused(lgd_checkpoint):
    with pytest.raises(CheckpointError, match='another shape.*depth, width and type'):
        mmlgd.get_student(lgd_checkpoint, base_channels=16)


def test_a_config_gives_a_random_student_and_load_from_its_weights(lgd_model, lgd_checkpoint):
    config = Config(dict(model=lgd_model))
    fresh = mmlgd.get_student(config)
    config.load_from = str(lgd_checkpoint)
    loaded = mmlgd.get_student(config)
    saved = read_checkpoint(lgd_checkpoint)['state_dict']['backbone.conv1.weight']
    assert torch.equal(loaded.conv1.weight, saved) and not torch.equal(fresh.conv1.weight, saved)


@pytest.mark.parametrize(
    'init, message',
    [
        (dict(prefix='student.'), r'no student\.\* weights'),
        (dict(), "gives no prefix.*Add prefix='backbone.'"),
        (dict(prefix='backbone.', depth=34), 'does not fit ResNet'),
    ],
)
def test_weights_of_a_config_that_do_not_fit_are_refused(lgd_model, lgd_checkpoint, init, message):
    backbone = dict(lgd_model['backbone'], depth=init.get('depth', 18))
    start = dict(
        type='Pretrained', checkpoint=str(lgd_checkpoint), **({'prefix': init['prefix']} if 'prefix' in init else {})
    )
    with pytest.raises(CheckpointError, match=message):
        mmlgd.get_student(Config(dict(model=dict(backbone=dict(backbone, init_cfg=start)))))


def test_weights_of_a_config_come_from_a_checkpoint_of_training(lgd_model, lgd_checkpoint):
    start = dict(type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.')
    student = mmlgd.get_student(Config(dict(model=dict(backbone=dict(lgd_model['backbone'], init_cfg=start)))))
    assert torch.equal(student.conv1.weight, mmlgd.get_student(lgd_checkpoint).conv1.weight)
