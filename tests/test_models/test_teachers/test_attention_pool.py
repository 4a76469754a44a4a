import torch
from open_clip.modified_resnet import AttentionPool2d

from mmlgd.models.teachers.attention_pool import PooledTokenAttention


def test_pooled_token_attention_is_attention_pooling():
    pool = AttentionPool2d(3, 64, 4, 16).eval()
    x = torch.randn(2, 64, 3, 3)
    torch.testing.assert_close(PooledTokenAttention(pool)(x), pool(x), atol=1e-5, rtol=1e-4)
    found = PooledTokenAttention(pool).with_places(x)
    torch.testing.assert_close(found.image, pool(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.places[:, 1, 2], pool.c_proj(pool.v_proj(x[:, :, 1, 2])), atol=1e-5, rtol=1e-4)


def test_a_constant_map_names_each_place_as_the_image():
    """Attention over equal values is their value, whatever it attends to. Positions would make them differ."""
    pool = PooledTokenAttention(AttentionPool2d(3, 64, 4, 16).eval())
    pool.positional_embedding.data.zero_()
    x = torch.randn(2, 64, 1, 1).expand(-1, -1, 3, 3)
    found = pool.with_places(x)
    torch.testing.assert_close(found.places, found.image[:, None, None].expand(-1, 3, 3, -1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.image, pool(x), atol=1e-5, rtol=1e-4)
