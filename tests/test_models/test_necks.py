import pytest
import torch

from mmlgd.errors import ConfigError
from mmlgd.models import ProjectionNeck
from mmlgd.models.necks import pooled
from mmlgd.registry import MODELS


@pytest.mark.parametrize('shape', [(3, 16, 4, 5), (3, 16)])
def test_projection_is_fc_relu_fc_on_the_last_feature(shape):
    neck, x = ProjectionNeck(16, 8), torch.randn(shape)
    feature = x.mean((2, 3)) if x.ndim == 4 else x
    first, _, second = neck.mlp
    expected = second(first(feature).relu())
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
    backbone.out_type = 'raw'  # all tokens: which of them describes the image?
    with pytest.raises(ConfigError, match=r"gives \(2, 5, 192\) .* expected is .*out_type='cls_token'"):
        pooled(backbone(x))
