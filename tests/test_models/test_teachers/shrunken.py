"""open_clip's architectures in small: every kind of tower and tokenizer, offline and in a moment."""

import json
from pathlib import Path

import open_clip
import timm
import torch
from open_clip.factory import get_model_config
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file
from timm.models import register_model

# timm's own models for tests stand for larger ones.
TRUNKS = dict(convnext=('test_convnext', 160), fastvit=('fastvit_small', 64))
WORDS = ['<s>', '<pad>', '</s>', '<unk>', 'a', 'photo', 'of', 'red', 'panda', 'isn', 't', 'it', 'A', '_', '"', '?', "'"]


@register_model
def fastvit_small(**options):
    """MobileCLIP's kind of trunk."""
    return timm.create_model('fastvit_mci0', layers=(1, 1, 1, 1), embed_dims=(16, 16, 32, 64), **options)


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of transformers that knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token='<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = dict(pad_token='<pad>', unk_token='<unk>', bos_token='<s>', eos_token='</s>', sep_token='</s>')
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, cls_token='<s>').save_pretrained(folder)


def write_text_tower(folder: Path, name: str, full: bool = False) -> None:
    """Write the settings of a text tower of transformers, of the kind that has this name there.

    Args:
        folder (Path): The folder.
        name (str): The tower's name in the hub.
        full (bool): At its own size, from its published config.json, instead of a small one. Defaults to False.
    """
    import transformers

    common = dict(vocab_size=len(WORDS), pad_token_id=1)
    if 'roberta' in name:  # 77 tokens, and two places that RoBERTa leaves out
        sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
        small = dict(common, **sizes, max_position_embeddings=79)
        kind = transformers.XLMRobertaConfig if 'xlm' in name else transformers.RobertaConfig
        own = dict(vocab_size=250_002 if 'xlm' in name else 50_265, max_position_embeddings=514)
    elif 'mt5' in name:
        kind = transformers.MT5Config
        small = dict(common, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        own = dict(vocab_size=250_112, d_model=768, d_kv=64, d_ff=2048, num_layers=12, num_heads=12)
    else:  # NLLB
        kind = transformers.M2M100Config
        sizes = dict(layers=1, attention_heads=2, ffn_dim=16)
        small = dict(common, d_model=16, **_both_sides(sizes))
        own = dict(vocab_size=256_206, d_model=1024, **_both_sides(dict(layers=12, attention_heads=16, ffn_dim=4096)))
    kind(**(own if full else small)).save_pretrained(folder)


def _both_sides(sizes: dict) -> dict:
    return {f'{side}_{key}': value for side in ('encoder', 'decoder') for key, value in sizes.items()}


def pixels_of(model: str) -> dict:
    """Tell the image statistics of an architecture's first published weights."""
    tag = get_pretrained_cfg(model, next(iter(open_clip.list_pretrained_tags_by_model(model)), ''))
    return {key: tag[key] for key in ('mean', 'std', 'interpolation', 'resize_mode') if key in tag}


def write_teacher(folder: Path, model: str) -> str:
    """Write a small random teacher with the parts of one of open_clip's architectures.

    Args:
        folder (Path): Made.
        model (str): The architecture.

    Returns:
        str: Its name for open_clip.
    """
    folder.mkdir(parents=True)
    config = get_model_config(model)
    vision, text = config['vision_cfg'], config['text_cfg']
    config['embed_dim'] = 64  # the width of the small trunks, which some have no projection from
    if trunk := vision.get('timm_model_name'):
        vision['timm_model_name'], vision['image_size'] = TRUNKS.get(trunk.split('_')[0], ('test_vit', 160))
        if trunk.startswith(('vitamin', 'swin')):
            vision['timm_pool'] = 'avg'
    elif isinstance(vision['layers'], list):
        vision.update(layers=[1, 1, 1, 1], width=16, image_size=64)
    else:
        vision.update(layers=1, width=32, head_width=16, image_size=4 * vision['patch_size'], mlp_ratio=4.0)
    if tower := text.get('hf_model_name'):
        write_text_tower(folder, tower)
        text['hf_model_name'] = str(folder)
    else:
        # Without a projection, the tower's width is that of the embedding.
        text.update(layers=1, width=64 if text.get('proj_type') == 'none' else 16, heads=2)
    if text.get('hf_tokenizer_name'):
        write_tokenizer(folder)
        text['vocab_size'] = len(WORDS)
    if 'multimodal_cfg' in config:
        config['multimodal_cfg'].update(layers=1, width=text.get('width', 64), heads=2)
    config = dict(model_cfg=config, preprocess_cfg=pixels_of(model))
    (folder / 'open_clip_config.json').write_text(json.dumps(config))
    name = f'local-dir:{folder}'
    torch.manual_seed(0)
    clip = open_clip.create_model(name, pretrained_text=False)
    for value in clip.parameters():
        if value.ndim > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.02)  # what is zero at first would be silent
    state = {key: value.contiguous() for key, value in clip.state_dict().items()}
    save_file(state, folder / 'open_clip_model.safetensors')
    return name
