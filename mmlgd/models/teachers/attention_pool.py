"""The attention pooling of CLIP's ResNets."""

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor, nn

from mmlgd.models.embedded import Embedded


class PooledTokenAttention(nn.Module):
    """CLIP's attention pooling, only for the mean token; open_clip computes all tokens and keeps this one.

    Args:
        pool (AttentionPool2d): The trained pooling that provides the weights.
    """

    def __init__(self, pool: AttentionPool2d):
        super().__init__()
        self.num_heads = pool.num_heads
        self.positional_embedding = pool.positional_embedding
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj

    def forward(self, x: Tensor) -> Tensor:
        """Pool a feature map.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: (N, D), equal to ``AttentionPool2d(x)``.
        """
        tokens = self._tokens(x)
        return self._attend(tokens, self.v_proj(tokens))

    def with_places(self, x: Tensor, step: int = 1) -> Embedded:
        """Pool a feature map, and project the value of each position, as 1x1 convolutions would.

        As in MaskCLIP, values of places have no position embedding: a place's name does not depend on where it is.

        Args:
            x (Tensor): (N, C, H, W).
            step (int): Pool every ``step``-th position of each row and column. Defaults to 1.

        Returns:
            Embedded: (N, D), equal to :meth:`forward` of these positions up to rounding, and (N, H, W, D).
        """
        places = self.v_proj(x.permute(0, 2, 3, 1).contiguous())  # (N, H, W, C); of strided ones it is a slow bmm
        value, x = places[:, ::step, ::step].flatten(1, 2), x[..., ::step, ::step]
        # A projection is linear: the mean's value is the mean of values, and positions are projected once for all.
        positions = F.linear(self.positional_embedding.to(value.dtype), self.v_proj.weight.to(value.dtype))
        value = torch.cat([value.mean(dim=1, keepdim=True), value], dim=1) + positions  # (N, 1+HW, C)
        return Embedded(self._attend(self._tokens(x), value), self.c_proj(places))

    def _tokens(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)  # (N, HW, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)  # (N, 1+HW, C)
        return x + self.positional_embedding.to(x.dtype)

    def _attend(self, tokens: Tensor, value: Tensor) -> Tensor:
        query, key, value = (
            x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (N, heads, tokens, C/heads)
            for x in (self.q_proj(tokens[:, :1]), self.k_proj(tokens), value)
        )
        pooled = F.scaled_dot_product_attention(query, key, value)  # (N, heads, 1, C/heads)
        return self.c_proj(pooled.transpose(1, 2).flatten(1))  # (N, D)
