from functools import partial

import pytest
import torch
from open_clip.transformer import Attention as OpenCLIPAttention
from timm.layers import AttentionPoolLatent, AttentionRope
from timm.models.eva import EvaAttention
from timm.models.vision_transformer import Attention as TimmAttention
from torch import nn

from mmlgd.models.teachers.places.values import has_value, value_alone


def of_itself(attention, tokens):
    return attention(tokens, tokens, tokens, need_weights=False)[0]


def by_a_query(attention, tokens):
    return attention(torch.ones(len(tokens), 1, 12), tokens, tokens, need_weights=False)[0]


Norm = partial(nn.LayerNorm, eps=1e-6)
# Each kind with its branches, and how it runs on sequences.
KINDS = dict(
    torch=(lambda: nn.MultiheadAttention(16, 2, batch_first=True), of_itself),
    torch_without_bias=(lambda: nn.MultiheadAttention(16, 2, bias=False, batch_first=True), of_itself),
    torch_other_width=(lambda: nn.MultiheadAttention(12, 2, kdim=16, vdim=16, batch_first=True), by_a_query),
    open_clip=(lambda: OpenCLIPAttention(16, 2, qk_norm=True), None),
    open_clip_scaled=(lambda: OpenCLIPAttention(16, 2, qkv_bias=False, scale_heads=True, inner_norm=True), None),
    timm=(lambda: TimmAttention(16, 2, qkv_bias=True, qk_norm=True, norm_layer=Norm), None),
    timm_scaled=(lambda: TimmAttention(16, 2, scale_norm=True, norm_layer=Norm), None),
    eva=(lambda: EvaAttention(16, 2, norm_layer=Norm), None),
    eva_without_bias=(lambda: EvaAttention(16, 2, qkv_bias=False, scale_norm=False), None),
    eva_unfused=(lambda: EvaAttention(16, 2, qkv_fused=False, norm_layer=Norm), None),
    rope=(lambda: AttentionRope(16, 2), None),
    rope_unfused=(lambda: AttentionRope(16, 2, qkv_fused=False, scale_norm=True, norm_layer=Norm), None),
    pool=(lambda: AttentionPoolLatent(16, num_heads=2, norm_layer=Norm), None),
    pool_of_latents=(lambda: AttentionPoolLatent(16, 0, num_heads=2, latent_len=3, pool_type='avg'), None),
)


@pytest.mark.parametrize('kind', KINDS)
def test_a_value_alone_is_what_the_attention_says_of_one_token(kind):
    torch.manual_seed(0)
    build, run = KINDS[kind]
    attention, tokens = build().eval(), torch.randn(5, 16)
    for parameter in attention.parameters():  # biases and scales start at 0 or 1
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        sequences = tokens[:, None]  # of one token
        expected = (run(attention, sequences) if run else attention(sequences)).flatten(1)
        assert has_value(attention) and expected.std() > 1e-2
        torch.testing.assert_close(value_alone(attention, tokens), expected)


def test_a_gate_of_the_attention_is_kept():
    try:
        attention = TimmAttention(16, 2, gated=True).eval()
    except TypeError:
        pytest.skip('this timm has no gated attention')
    tokens = torch.randn(5, 16)
    with torch.no_grad():
        torch.testing.assert_close(value_alone(attention, tokens), attention(tokens[:, None])[:, 0])


def test_attentions_that_do_more_have_no_value():
    class Other(TimmAttention):
        pass

    assert not has_value(Other(16, 2)) and not has_value(nn.Linear(2, 2))
    assert not has_value(AttentionPoolLatent(16, num_heads=2, pos_embed='abs', feat_size=4))


def test_more_places_than_kernels_take_sequences_are_one_product():
    """No sequences, no attention: CUDA's kernels take at most 65,535 sequences at once."""
    attention = nn.MultiheadAttention(8, 2).eval()
    attention.forward = None
    with torch.no_grad():
        assert value_alone(attention, torch.randn(70_000, 8)).shape == (70_000, 8)
