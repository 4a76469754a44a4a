import pytest
import torch

from mmlgd.models import ProjectionNeck


@pytest.mark.parametrize('shape', [(3, 16, 4, 5), (3, 16)])
def test_projection_is_fc_relu_fc_on_the_last_feature(shape):
    neck, x = ProjectionNeck(16, 8), torch.randn(shape)
    pooled = x.mean((2, 3)) if x.ndim == 4 else x
    first, _, second = neck.mlp
    expected = second(first(pooled).relu())
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
