import pytest
import torch
from mmpretrain.models import ResNet

from mmlgd.errors import ConfigError
from mmlgd.models import ProjectionNeck
from mmlgd.models.necks import channels_of, pooled
from mmlgd.registry import MODELS


@pytest.mark.parametrize('shape', [(3, 16, 4, 5), (3, 7, 16), (3, 16)])
def test_projection_is_fc_relu_fc_on_the_last_feature(shape):
    neck, x = ProjectionNeck(16, 8), torch.randn(shape)
    mean = x.flatten(2).mean(2) if x.ndim == 4 else x.mean(1) if x.ndim == 3 else x
    first, _, second = neck.mlp
    expected = second(first(mean).relu())
    out = neck((torch.zeros(3, 2, 2, 2), x))
    torch.testing.assert_close(out, expected / expected.norm(dim=-1, keepdim=True))
    assert first.out_features == 16  # as wide as the backbone unless told otherwise
    assert ProjectionNeck(16, 8, hid_channels=5).mlp[0].out_features == 5


def test_output_is_float32_of_unit_length_under_autocast():
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = ProjectionNeck(16, 8)((torch.randn(3, 16, 2, 2),))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(3))


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r'24 channels.*in_channels=16.*in_channels=24'):
        ProjectionNeck(16, 8)((torch.randn(2, 24, 2, 2),))


def test_a_transformer_without_a_map_has_one_feature_too():
    vit = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16, out_type='cls_token')
    backbone = MODELS.build(vit)
    backbone.eval()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features = backbone(x)
    assert pooled(features).shape == (2, 192) and torch.equal(pooled(features), features[-1])
    backbone.out_type = 'raw'  # all tokens
    assert torch.equal(pooled(backbone(x)), backbone(x)[-1].mean(1))


def test_what_is_no_feature_is_refused():
    for feature in (torch.rand(2), torch.rand(2, 3, 4, 5, 6), [torch.rand(2, 3)]):
        with pytest.raises(ConfigError, match='last feature'):
            pooled((feature,))


def test_the_width_is_found_without_a_trace():
    backbone = ResNet(18, base_channels=8, stem_channels=8)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state = torch.get_rng_state()
    assert channels_of(backbone, 40) == 64 and backbone.training
    assert torch.equal(state, torch.get_rng_state()) and not any(p.grad is not None for p in backbone.parameters())
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    backbone.eval()
    assert channels_of(backbone, 40) == 64 and not backbone.training


def test_a_backbone_that_cannot_take_the_size_says_so():
    with pytest.raises(ConfigError, match='Conv2d cannot take images of 2 x 2 pixels: .*[Kk]ernel'):
        channels_of(torch.nn.Conv2d(3, 8, 5), 2)
