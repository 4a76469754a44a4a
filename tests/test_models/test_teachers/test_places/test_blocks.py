import pytest
import torch
from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock
from timm.layers import AttentionPoolLatent
from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block
from torch import nn

from mmlgd.models.teachers.places.blocks import alone, is_known

BLOCKS = dict(
    open_clip=lambda: ResidualAttentionBlock(16, 2, ls_init_value=0.5),
    open_clip_custom=lambda: CustomResidualAttentionBlock(
        16, 2, qk_norm=True, scale_heads=True, scale_attn=True, scale_attn_inner=True, scale_fc=True
    ),
    timm=lambda: Block(16, 2, qkv_bias=True, init_values=0.5),
    eva=lambda: EvaBlock(16, 2, init_values=0.5, swiglu_mlp=True),
    eva_post_norm=lambda: EvaBlockPostNorm(16, 2),
)


@pytest.mark.parametrize('kind', BLOCKS)
def test_a_whole_block_of_one_token_is_the_block(kind):
    torch.manual_seed(0)
    block = BLOCKS[kind]().eval()
    tokens = torch.randn(5, 16)
    with torch.no_grad():
        expected = block(tokens[:, None])[:, 0]
        torch.testing.assert_close(alone(block, tokens, residual=True, mlp=True), expected)
        value = alone(block, tokens)
        torch.testing.assert_close(alone(block, tokens, residual=True), tokens + value)
        assert is_known(block) and (alone(block, tokens, mlp=True) - value).abs().max() > 1e-4


def test_attention_of_one_token_is_the_projection_of_its_value():
    block = BLOCKS['open_clip']().eval()
    tokens = torch.randn(5, 16)
    with torch.no_grad():
        value = block.ln_1(tokens) @ block.attn.in_proj_weight[32:].T + block.attn.in_proj_bias[32:]
        torch.testing.assert_close(alone(block, tokens), block.ls_1(block.attn.out_proj(value)))


def test_other_blocks_are_not_known():
    assert not is_known(AttentionPoolLatent(16)) and not is_known(nn.Linear(2, 2))
    block = Block(16, 2)
    block.attn = nn.Identity()
    assert not is_known(block), 'its attention of one token may be more than a value'
