"""Weights that fit by their keys and would be wrong, or nearly fit, are refused with what to do."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.fitting import check_pretrained
from mmlgd.checkpoints.starts import start_from
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from tests.starting import SMALL, downstream, saved


def test_a_class_of_nearly_the_same_name_is_refused_with_its_cure(tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    student = dict(type='mmpretrain.MobileNetV2', widen_factor=0.1, out_indices=(7,))
    file = saved(student, tmp_path)
    for library in ('mmdet', 'mmseg'):
        cfg = Config(dict(model=dict(backbone=dict(type=f'{library}.MobileNetV2', widen_factor=0.1))))
        with pytest.raises(CheckpointError, match=f'mmlgd export {file} student.pth --to {library}'):
            start_from(cfg, file)
    file = saved(SMALL, tmp_path)
    cfg = Config(dict(model=dict(backbone={**SMALL, 'type': 'mmseg.ResNetV1c'})))
    with pytest.raises(CheckpointError, match=r'deeper stem .*model\.backbone\.type=ResNet'):
        start_from(cfg, file)
    cfg.model.backbone.type = 'mmseg.ResNet'
    start_from(cfg, file)


def test_a_backbone_of_more_layers_than_the_student_is_refused_with_its_cure(lgd_checkpoint):
    with pytest.raises(CheckpointError, match=r'96 missing .*deformable .*in place of --student.*prefix='):
        start_from(downstream(depth=34), str(lgd_checkpoint))
    started = dict(type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.')
    with pytest.raises(CheckpointError, match='does not fit') as error:
        check_pretrained(MODELS.build(dict(SMALL, depth=34, init_cfg=started)))
    assert '--student' not in str(error.value)  # there is none


@pytest.mark.parametrize('trained, other', [('pytorch', 'caffe'), ('caffe', 'pytorch')])
def test_a_stride_in_another_layer_is_refused(tmp_path, trained, other):
    """The weights fit, and give other features."""
    file = saved(dict(SMALL, depth=50, style=trained), tmp_path)
    with pytest.raises(ConfigError, match=f"style='{trained}', and this ResNet has style='{other}'"):
        start_from(downstream(depth=50, style=other), file)
    inner = dict(SMALL, depth=50, style=other, init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.'))
    with pytest.raises(ConfigError, match=rf'model\.detector\.backbone\.style={trained}'):
        check_pretrained(MODELS.build(inner), 'model.detector.backbone')
    start_from(downstream(depth=50, style=trained), file)
    start_from(downstream(style=other), saved(dict(SMALL, style=trained), tmp_path))  # blocks of two convolutions


def test_the_style_of_a_source_is_known_or_not(tmp_path, monkeypatch):
    state = MODELS.build(dict(SMALL, depth=50)).state_dict()
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda *args, **kwargs: state)
    with pytest.raises(ConfigError, match="style='pytorch', and this"):
        start_from(downstream(depth=50, style='caffe'), 'torchvision://resnet50')
    torch.save(state, tmp_path / 'bare.pth')  # nobody knows
    start_from(downstream(depth=50, style='caffe'), str(tmp_path / 'bare.pth'))
    inner = dict(state_dict={f'student.backbone.{key}': value for key, value in state.items()})
    inner['meta'] = dict(cfg="model = dict(type='SoftTeacher', detector=dict(backbone=dict(style='caffe')))")
    torch.save(inner, tmp_path / 'inner.pth')
    started = dict(type='Pretrained', checkpoint=str(tmp_path / 'inner.pth'), prefix='student.backbone.')
    check_pretrained(MODELS.build(dict(SMALL, depth=50, style='caffe', init_cfg=started)))


def test_the_style_of_a_source_below_home_is_known(tmp_path, monkeypatch):
    """A shell leaves the ~ in a config as it is."""
    monkeypatch.setenv('HOME', str(tmp_path))
    saved(dict(SMALL, depth=50), tmp_path)
    with pytest.raises(ConfigError, match="style='pytorch', and this"):
        start_from(downstream(depth=50, style='caffe'), '~/epoch_1.pth')
