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
