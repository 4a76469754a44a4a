import open_clip
import pytest
import timm
import torch
from torch import nn

from mmlgd.models.teachers.folding import fold_batch_norm


def lively(module):
    """Batch norms whose statistics and weights differ from the identity."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value, low in (
                (norm.weight, 0.5),
                (norm.bias, -0.5),
                (norm.running_mean, -0.5),
                (norm.running_var, 0.5),
            ):
                value.data.copy_(torch.rand(value.shape, generator=generator) + low)
    return module.eval()


def norms(module):
    return sum(isinstance(m, nn.BatchNorm2d) for m in module.modules())


def test_a_clip_resnet_folds_without_a_change_of_its_output(tiny_clip):
    tower = lively(open_clip.create_model(tiny_clip).visual)
    folded = fold_batch_norm(tower, (64, 64))
    assert norms(tower) > 0 and norms(folded) == 0
    assert not any(module.training for module in folded.modules())
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), tower(images), rtol=1e-4, atol=1e-4)


def test_a_tower_that_runs_its_layers_in_another_order_stays_as_it_is():
    class NormFirst(nn.Sequential):
        def forward(self, x):
            return self[0](self[1](x))  # the batch norm before the convolution that is registered before it

    tower = lively(NormFirst(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)))
    assert fold_batch_norm(tower, (8, 8)) is tower


def test_convolutions_of_other_widths_than_the_norms_behind_them_stay_as_they_are():
    class InTurn(nn.Sequential):  # as in mmpretrain's EfficientFormer
        def forward(self, x):
            return self[3](self[1](self[2](self[0](x))))

    tower = lively(InTurn(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), nn.BatchNorm2d(8), nn.BatchNorm2d(2)))
    assert fold_batch_norm(tower, (8, 8)) is tower


@pytest.mark.parametrize('name', ['test_resnet', 'test_vit'])
def test_timm_towers_keep_their_output(name):
    tower = lively(timm.create_model(name, num_classes=0))
    images = torch.randn(2, 3, 64, 64) if name == 'test_resnet' else torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        got = fold_batch_norm(tower, tuple(images.shape[-2:]))(images)
        torch.testing.assert_close(got, tower(images), rtol=1e-3, atol=1e-3)
