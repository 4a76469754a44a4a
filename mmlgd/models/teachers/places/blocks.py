"""The last block of a transformer without attention between its tokens."""

from typing import Callable, Optional

from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .values import has_value, value_alone

Branch = Callable[[nn.Module, Tensor], Tensor]


def _scaled(scale: Optional[Tensor], x: Tensor) -> Tensor:
    return x if scale is None else scale * x


# What each kind of block adds to a token alone: first the projection of its value, then the output of its MLP.
_BRANCHES: dict[type, tuple[Branch, Branch]] = {
    ResidualAttentionBlock: (
        lambda block, x: block.ls_1(value_alone(block.attn, block.ln_1(x))),
        lambda block, x: block.ls_2(block.mlp(block.ln_2(x))),
    ),
    CustomResidualAttentionBlock: (
        lambda block, x: block.ls_1(block.ln_attn(value_alone(block.attn, block.ln_1(x)))),
        lambda block, x: block.ls_2(block.mlp(block.ln_2(x))),
    ),
    Block: (
        lambda block, x: block.ls1(value_alone(block.attn, block.norm1(x))),
        lambda block, x: block.ls2(block.mlp(block.norm2(x))),
    ),
    EvaBlock: (
        lambda block, x: _scaled(block.gamma_1, value_alone(block.attn, block.norm1(x))),
        lambda block, x: _scaled(block.gamma_2, block.mlp(block.norm2(x))),
    ),
    EvaBlockPostNorm: (
        lambda block, x: block.norm1(value_alone(block.attn, x)),
        lambda block, x: block.norm2(block.mlp(x)),
    ),
}


def is_known(block: nn.Module) -> bool:
    """Check whether :func:`alone` can run a block.

    Args:
        block (nn.Module): A block of a transformer.

    Returns:
        bool: Whether its kind is known, and that of its attention.
    """
    return type(block) in _BRANCHES and has_value(block.attn)


def alone(block: nn.Module, tokens: Tensor, residual: bool = False, mlp: bool = False) -> Tensor:
    r"""Run a block on each token alone, so that attention is the projection of its value.

    .. math:: y = [x +]\, W_o W_v \,\text{norm}(x), \qquad y \leftarrow y\, [+\, \text{MLP}(y)]

    Args:
        block (nn.Module): A block of open_clip or timm.
        tokens (Tensor): (M, C).
        residual (bool): Add the token. Defaults to False: it is not yet in the space of the block's output.
        mlp (bool): Add the output of the block's MLP. Defaults to False.

    Returns:
        Tensor: (M, C). With ``residual`` and ``mlp`` the block's own output for a sequence of one token.
    """
    attention, feed_forward = _BRANCHES[type(block)]
    y = attention(block, tokens)
    if residual:
        y = tokens + y
    if mlp:
        y = y + feed_forward(block, y)
    return y
