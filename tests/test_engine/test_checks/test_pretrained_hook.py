from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader

from mmlgd.checkpoints import CheckpointError
from mmlgd.engine import PretrainedCheckHook
from mmlgd.registry import MODELS


class Detector(BaseModel):
    """A backbone with what it starts from, and a head."""

    def __init__(self, init_cfg, width=8):
        super().__init__()
        backbone = dict(type='mmpretrain.ResNet', depth=18, base_channels=width, stem_channels=8, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = torch.nn.Linear(2, 2)

    def forward(self, inputs):
        return inputs


def check(init_cfg, train_loop=True, **settings):
    train_loop = SimpleNamespace(dataloader=[]) if train_loop else dict(type='EpochBasedTrainLoop')
    PretrainedCheckHook().before_run(SimpleNamespace(model=Detector(init_cfg, **settings), _train_loop=train_loop))


def pretrained(checkpoint, **settings):
    return dict(type='Pretrained', checkpoint=checkpoint and str(checkpoint), **settings)


def test_a_student_that_fits(lgd_checkpoint):
    check(pretrained(lgd_checkpoint, prefix='backbone.'))
    check(pretrained(lgd_checkpoint, prefix='backbone'))
    check([dict(type='Kaiming', layer='Conv2d'), pretrained(lgd_checkpoint, prefix='backbone.')])


def test_modules_that_ask_for_no_weights_pass():
    check(None)
    check(dict(type='Kaiming', layer='Conv2d'))


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(prefix='student.'), r'epoch_2.pth has no student\.\* weights; it has backbone\.\*.*change the prefix'),
        (dict(prefix='neck.'), r'does not fit ResNet.*missing \(conv1.weight'),
        (dict(), r"has its backbone under backbone\.\*, and the config gives no prefix.*Add prefix='backbone\.'"),
    ],
)
def test_a_wrong_prefix(settings, message, lgd_checkpoint):
    with pytest.raises(CheckpointError, match=message):
        check(pretrained(lgd_checkpoint, **settings))


def test_a_student_of_another_width(lgd_checkpoint):
    with pytest.raises(
        CheckpointError, match=r'does not fit ResNet: of 126 keys, 6 missing .*; 95 of another shape .*instead of'
    ):
        check(pretrained(lgd_checkpoint, prefix='backbone.'), width=16)


def test_a_truncated_file_and_a_missing_one(lgd_checkpoint, tmp_path):
    (tmp_path / 'cut.pth').write_bytes(lgd_checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match='cut.pth is cut off'):
        check(pretrained(tmp_path / 'cut.pth', prefix='backbone.'))
    with pytest.raises(FileNotFoundError, match='none.pth'):
        check(pretrained(tmp_path / 'none.pth', prefix='backbone.'))


def test_no_checkpoint_at_all_says_how_to_start_at_random():
    with pytest.raises(ValueError, match=r'model\.backbone\.init_cfg has checkpoint=None.*--student none'):
        check(pretrained(None, prefix='backbone.'))


def test_a_name_of_torchvision_that_fits_in_part(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda name, map_location: dict(features=torch.zeros(1)))
    with pytest.raises(CheckpointError, match='torchvision://mobilenet_v2 does not fit ResNet: .*100 missing'):
        check(pretrained('torchvision://mobilenet_v2'))


def test_an_evaluation_initialises_no_weights_and_passes():
    check(pretrained('none.pth', prefix='backbone.'), train_loop=False)
