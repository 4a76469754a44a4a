"""Small random towers in the layouts of TIPSv2's and C-RADIO's published files."""

import argparse
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import generate_default_cfgs, register_model
from timm.models.vision_transformer import _create_vision_transformer

CLIP = dict(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
has_tips = pytest.mark.skipif(not timm.is_model('vit_base_patch14_reg1_tipsv2'), reason='timm has no TIPSv2 yet')
has_radio = pytest.mark.skipif(not timm.is_model('vit_huge_patch16_radio_v4'), reason='timm has no C-RADIO yet')
# timm registers these with the models of this module.
default_cfgs = generate_default_cfgs(
    {
        'tiny_tipsv2.random': dict(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), input_size=(3, 56, 56), num_classes=0),
        'tiny_radio_v4.random': dict(**CLIP, input_size=(3, 64, 64), num_classes=0),
    }
)
TIPS = dict(img_size=56, patch_size=14, embed_dim=32, depth=2, num_heads=4, init_values=1.0, reg_tokens=1)
RADIO = dict(img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=4, reg_tokens=4, final_norm=False)
SENTENCES = ['a photo of a red panda', 'a photo of a cat', 'the cat is on the mat', 'it is a dog', 'a red car', 'tree']


@register_model
def tiny_tipsv2(pretrained=False, **settings):
    settings = {**TIPS, 'no_embed_class': True, **settings}
    return _create_vision_transformer('tiny_tipsv2', pretrained=pretrained, **settings)


@register_model
def tiny_radio_v4(pretrained=False, **settings):
    settings = {**RADIO, 'no_embed_class': True, **settings}
    return _create_vision_transformer('tiny_radio_v4', pretrained=pretrained, **settings)


def random_state(module):
    """Random weights in which nothing is silent or the same everywhere."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=generator) * (0.1 if value.ndim > 1 else 0.5) + (value.ndim == 1)
        for name, value in module.state_dict().items()
    }


def tips_state(model='tiny_tipsv2', vocabulary=64, layers=2, hidden=48) -> tuple[dict, torch.nn.Module]:
    """Tensors in TIPS's layout, and the image tower in timm's."""
    trunk = timm.create_model(model, num_classes=0, global_pool='token').eval()
    own = random_state(trunk)
    trunk.load_state_dict(own)
    position = torch.full_like(own['cls_token'][:, 0], 0.2)  # theirs has one for the class token, too
    image = {name: value for name, value in own.items() if name not in ('cls_token', 'reg_token', 'pos_embed')}
    image.update(
        cls_token=own['cls_token'] - position,
        register_tokens=own['reg_token'],
        pos_embed=torch.cat([position[:, None], own['pos_embed']], dim=1),
        mask_token=torch.zeros(1, trunk.embed_dim),
    )
    width = trunk.embed_dim
    shapes = {'token_embedding.weight': (vocabulary, width), 'ln_final.weight': (width,), 'ln_final.bias': (width,)}
    for k in range(layers):
        of_block = {
            'attn.in_proj_weight': (3 * width, width),
            'attn.in_proj_bias': (3 * width,),
            'attn.out_proj.weight': (width, width),
            'attn.out_proj.bias': (width,),
            **{f'ln_{n}.{kind}': (width,) for n in (1, 2) for kind in ('weight', 'bias')},
            'mlp.c_fc.weight': (hidden, width),
            'mlp.c_fc.bias': (hidden,),
            'mlp.c_proj.weight': (width, hidden),
            'mlp.c_proj.bias': (width,),
        }
        shapes.update({f'transformer.resblocks.{k}.{name}': shape for name, shape in of_block.items()})
    generator = torch.Generator().manual_seed(1)
    text = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
    state = {f'vision_encoder.{name}': value for name, value in image.items()}
    return {**state, **{f'text_encoder.{name}': value for name, value in text.items()}}, trunk


def write_tips(folder: Path, **settings) -> tuple[dict, torch.nn.Module]:
    """Write a folder like a copy of google/tipsv2-b14, without its code."""
    from sentencepiece import SentencePieceTrainer

    folder.mkdir()
    state, trunk = tips_state(**settings)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / 'model.safetensors')
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 10),
        model_prefix=str(folder / 'tokenizer'),
        model_type='bpe',
        vocab_size=40,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    return state, trunk


def radio_state(
    model='tiny_radio_v4', dim=64, hidden=40, heads=('dino', 'siglip2-g', 'sam')
) -> tuple[dict, torch.nn.Module]:
    """Tensors in C-RADIO's layout, and the image tower in timm's, its summary tokens in C-RADIO's order."""
    trunk = timm.create_model(model, num_classes=0, global_pool='token').eval()
    own = random_state(trunk)
    own['patch_embed.proj.bias'].zero_()  # theirs has none
    trunk.load_state_dict(own)
    width, grid = trunk.embed_dim, trunk.patch_embed.grid_size
    tower = {name: value for name, value in own.items() if name.startswith('blocks.')}
    tower['patch_generator.embedder.weight'] = own['patch_embed.proj.weight'].flatten(1)
    tower['patch_generator.pos_embed'] = own['pos_embed']
    tower['patch_generator.cls_token.token'] = torch.cat([own['cls_token'], own['reg_token']], dim=1)[0]
    assert own['pos_embed'].shape[1] == grid[0] * grid[1]
    shapes = {'fc1.weight': (hidden, width), 'fc1.bias': (hidden,)}
    for name, out in (('blocks.0', hidden), ('blocks.1', hidden), ('final', dim)):
        shapes.update({f'{name}.0.{kind}': (hidden,) for kind in ('weight', 'bias')})
        shapes.update({f'{name}.2.weight': (out, hidden), f'{name}.2.bias': (out,)})
    generator = torch.Generator().manual_seed(2)
    state = {f'base_model.{name}': value for name, value in tower.items()}
    for head in heads:
        state.update({f'_heads.{head}.{name}': torch.randn(s, generator=generator) * 0.3 for name, s in shapes.items()})
    state['_feature_projections.siglip2-g.fc1.weight'] = torch.zeros(2, 2)  # for features; not read
    state['input_conditioner.norm_mean'] = torch.zeros(3, 1, 1)
    return state, trunk


def write_radio(file: Path, teachers=('dino', 'siglip2-g', 'sam'), **settings) -> tuple[dict, torch.nn.Module]:
    """Write a file like NVIDIA's, with the arguments of the training in it."""
    state, trunk = radio_state(**settings)
    args = argparse.Namespace(
        model='vit', teachers=[dict(name=name, type='x') for name in teachers], dtype=torch.float16, lr=0.1
    )
    torch.save(dict(state_dict={f'module.{name}': value for name, value in state.items()}, args=args, epoch=3), file)
    return state, trunk
