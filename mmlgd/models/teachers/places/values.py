"""Attention of one token to itself: the output projection of its value."""

from typing import Callable, Optional

import torch.nn.functional as F
from open_clip.transformer import Attention as OpenCLIPAttention
from timm.layers import AttentionPoolLatent, AttentionRope
from timm.models.eva import EvaAttention
from timm.models.vision_transformer import Attention as TimmAttention
from torch import Tensor, nn


def has_value(attention: nn.Module) -> bool:
    """Check whether :func:`value_alone` knows an attention.

    Args:
        attention (nn.Module): A module that attends.

    Returns:
        bool: Whether its kind is known, and it adds nothing to its tokens.
    """
    return (
        type(attention) in _VALUES
        and getattr(attention, 'num_kv_groups', 1) == 1
        and getattr(attention, 'pos_embed', None) is None
    )


def value_alone(attention: nn.Module, tokens: Tensor) -> Tensor:
    r"""Compute what an attention says if each token is all that there is to attend to.

    .. math:: \text{softmax}(q k^\top) = 1 \;\Rightarrow\; y = W_o W_v x

    The module itself would say the same for sequences of one token. It would also compute queries and keys, and CUDA's
    kernels take at most 65,535 sequences: a batch has more places.

    Args:
        attention (nn.Module): An attention of torch, open_clip or timm, or timm's pooling by attention.
        tokens (Tensor): (M, C), normalised as the attention's input.

    Returns:
        Tensor: (M, D).

    Examples:
        >>> import torch
        >>> attention, tokens = TimmAttention(8, num_heads=2).eval(), torch.randn(5, 8)
        >>> torch.allclose(value_alone(attention, tokens), attention(tokens[:, None])[:, 0], atol=1e-6)
        True
    """
    return _VALUES[type(attention)](attention, tokens)


def _last(parts: int, tokens: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    """Project by the last of the parts that share a weight: queries, keys and values."""
    return F.linear(tokens, weight.chunk(parts)[-1], None if bias is None else bias.chunk(parts)[-1])


def _of_torch(attention: nn.MultiheadAttention, tokens: Tensor) -> Tensor:
    joint = attention.in_proj_weight  # None if keys or values are of another width than queries
    if joint is not None:
        value = _last(3, tokens, joint, attention.in_proj_bias)
    else:
        bias = attention.in_proj_bias
        value = F.linear(tokens, attention.v_proj_weight, None if bias is None else bias.chunk(3)[-1])
    return attention.out_proj(value)


def _of_open_clip(attention: OpenCLIPAttention, tokens: Tensor) -> Tensor:
    value = _last(3, tokens, attention.in_proj_weight, attention.in_proj_bias)
    if attention.head_scale is not None:
        heads = value.unflatten(-1, (attention.num_heads, -1))  # (M, heads, C / heads)
        value = (heads * attention.head_scale[:, 0]).flatten(1)
    return attention.out_proj(attention.ln_inner(value))


def _of_timm(attention: nn.Module, tokens: Tensor) -> Tensor:
    if attention.qkv is None:
        value = attention.v_proj(tokens)
    elif getattr(attention, 'v_bias', None) is not None:  # EVA has no bias of keys, so that it keeps them apart
        value = F.linear(tokens, attention.qkv.weight.chunk(3)[-1], attention.v_bias)
    else:
        value = _last(3, tokens, attention.qkv.weight, attention.qkv.bias)
    value = attention.norm(value)
    gate = getattr(attention, 'gate', None)
    return attention.proj(value if gate is None else value * gate(tokens).sigmoid())


def _of_pooling(pool: AttentionPoolLatent, tokens: Tensor) -> Tensor:
    x = pool.proj(_last(2, tokens, pool.kv.weight, pool.kv.bias))
    return x if pool.mlp is None else x + pool.mlp(pool.norm(x))


_VALUES: dict[type, Callable[[nn.Module, Tensor], Tensor]] = {
    nn.MultiheadAttention: _of_torch,
    OpenCLIPAttention: _of_open_clip,
    TimmAttention: _of_timm,
    EvaAttention: _of_timm,
    AttentionRope: _of_timm,
    AttentionPoolLatent: _of_pooling,
}
