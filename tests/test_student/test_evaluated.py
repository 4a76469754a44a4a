"""An evaluation config takes the student of the checkpoint that it is given."""

import pytest
import torch
from mmengine.config import Config

from mmlgd.checkpoints import CheckpointError
from mmlgd.student.evaluated import use_student_of
from tests import ROOT

FOLDER = ROOT / 'configs/benchmarks/classification'


def save(path, **model):
    model = dict(type='mmlgd.LGD', **model)
    train = dict(dataset=dict(type='mmlgd.Images', view='moco-v2', size=96))
    text = Config(dict(default_scope='mmpretrain', model=model, train_dataloader=train)).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict=dict(x=torch.zeros(1))), path)
    return str(path)


def test_backbone_neck_and_size_are_the_checkpoint_s(tmp_path):
    backbone = dict(type='MobileNetV2', widen_factor=0.5, out_indices=(7,))
    file = save(tmp_path / 'a.pth', backbone=backbone, neck=dict(in_channels=1280))
    cfg = Config.fromfile(FOLDER / 'zero-shot_folder.py')
    use_student_of(cfg, file)
    assert cfg.model.backbone == dict(backbone, _scope_='mmpretrain')
    assert cfg.model.neck == dict(in_channels=1280, _scope_='mmpretrain')
    assert cfg.test_dataloader.dataset.pipeline[1]['scale'] == 96 * 8 // 7
    assert cfg.test_dataloader.dataset.pipeline[2]['crop_size'] == (96, 96)
    # A pipeline in the config stays, and compare_sizes tells of it.
    cfg = Config.fromfile(FOLDER / 'zero-shot_in1k.py')
    use_student_of(cfg, file)
    assert cfg.model.backbone.type == 'MobileNetV2' and cfg.test_dataloader.dataset.pipeline[2].crop_size == 224


@pytest.mark.parametrize('source', [None, 'none', 'torchvision://resnet18', 'weights'])
def test_other_sources_and_other_configs_change_nothing(source, tmp_path):
    if source == 'weights':
        source = str(tmp_path / 'bare.pth')
        torch.save(dict(x=torch.zeros(1)), source)
    cfg = Config.fromfile(FOLDER / 'zero-shot_folder.py')
    before = cfg.to_dict()
    use_student_of(cfg, source)
    assert cfg.to_dict() == before
    file = save(tmp_path / 'a.pth', backbone=dict(type='MobileNetV2'))
    for config in ('lgd/lgd_resnet18_8xb256-coslr-90e_in1k.py', 'benchmarks/classification/_base_/classifier.py'):
        cfg = Config.fromfile(ROOT / 'configs' / config)
        before = cfg.to_dict()
        use_student_of(cfg, file)
        assert cfg.to_dict() == before


def test_a_student_that_would_run_code_is_refused(tmp_path):
    file = save(tmp_path / 'a.pth', backbone=dict(type='os.system', command='true'))
    with pytest.raises(CheckpointError, match='os.system'):
        use_student_of(Config.fromfile(FOLDER / 'zero-shot_folder.py'), file)
