"""The last block of a transformer without attention between its tokens."""

from typing import Callable, Optional

from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

Branch = Callable[[nn.Module, Tensor], Tensor]


def _scaled(scale: Optional[Tensor], x: Tensor) -> Tensor:
    return x if scale is None else scale * x


# What each kind of block adds to its tokens: first by attention, then by its MLP.
_BRANCHES: dict[type, tuple[Branch, Branch]] = {
    ResidualAttentionBlock: (
        lambda block, x: block.ls_1(block.attention(block.ln_1(x))),
        lambda block, x: block.ls_2(block.mlp(block.ln_2(x))),
    ),
    CustomResidualAttentionBlock: (
        lambda block, x: block.ls_1(block.ln_attn(block.attn(block.ln_1(x)))),
        lambda block, x: block.ls_2(block.mlp(block.ln_2(x))),
    ),
    Block: (
        lambda block, x: block.ls1(block.attn(block.norm1(x))),
        lambda block, x: block.ls2(block.mlp(block.norm2(x))),
    ),
    EvaBlock: (
        lambda block, x: _scaled(block.gamma_1, block.attn(block.norm1(x))),
        lambda block, x: _scaled(block.gamma_2, block.mlp(block.norm2(x))),
    ),
    EvaBlockPostNorm: (
        lambda block, x: block.norm1(block.attn(x)),
        lambda block, x: block.norm2(block.mlp(x)),
    ),
}


def is_known(block: nn.Module) -> bool:
    """Check whether :func:`alone` can run a block.

    Args:
        block (nn.Module): A block of a transformer.

    Returns:
        bool: Whether its kind is known.
    """
    return type(block) in _BRANCHES


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
    x = tokens[:, None]  # (M, 1, C): sequences of one token, which attends to itself
    y = attention(block, x)
    if residual:
        y = x + y
    if mlp:
        y = y + feed_forward(block, y)
    return y[:, 0]
