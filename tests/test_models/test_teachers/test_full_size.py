"""One training step with each family's true classes at full size. Weights are random; tokenizers know a few words."""

import json

import open_clip
import pytest
import torch
from open_clip.factory import get_model_config

from mmlgd.registry import MODELS

from .shrunken import write_text_tower, write_tokenizer
from .tiny_towers import has_radio, has_tips, write_radio, write_tips

FAMILIES = [
    'RN50',
    'ViT-B-16',
    'ViT-B-16-SigLIP',
    'ViT-B-16-SigLIP2',
    'MobileCLIP-S1',
    'MobileCLIP2-S0',
    'MobileCLIP2-S2',
    'PE-Core-T-16-384',
    'PE-Core-S-16-384',
    'PE-Core-B-16',
    'coca_ViT-B-32',
    'EVA02-B-16',
    'convnext_base',
    'roberta-ViT-B-32',
    'xlm-roberta-base-ViT-B-32',
    'mt5-base-ViT-B-32',
    'nllb-clip-base-siglip',
]


def offline(model, folder):
    """Register an architecture whose text tower and tokenizer of transformers lie in a folder, at full size."""
    config = get_model_config(model)
    text = config['text_cfg']
    if not text.get('hf_tokenizer_name'):
        return model
    write_tokenizer(folder)
    text['hf_tokenizer_name'] = str(folder)
    if tower := text.get('hf_model_name'):
        write_text_tower(folder, tower, full=True)
        text['hf_model_name'] = str(folder)
    file = folder / f'full-{model}.json'
    file.write_text(json.dumps(config))
    open_clip.add_model_config(file)
    return file.stem


def step(lgd_config, teacher):
    """Build a model around a teacher, and take a step with images and places."""
    terms = [dict(bank='text'), dict(bank='visual'), dict(bank='text', on='places')]
    model = MODELS.build(dict(lgd_config, teacher=teacher, loss=dict(type='mmlgd.DistillationLoss', terms=terms)))
    losses = model.train()(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), mode='loss')
    sum(losses.values()).backward()
    assert len(losses) == len(terms) and all(value.isfinite() for value in losses.values())
    assert all(value.grad is not None for value in model.backbone.parameters())
    return model


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize('model', FAMILIES)
def test_a_step_with_each_family(model, lgd_config, tmp_path):
    pytest.importorskip('transformers')
    teacher = dict(type='mmlgd.OpenCLIPTeacher', model=offline(model, tmp_path), pretrained=None)
    built = step(lgd_config, teacher)
    assert built.teacher.embed_dim == get_model_config(model)['embed_dim']


@has_tips
@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_step_with_tips(lgd_config, tmp_path):
    pytest.importorskip('sentencepiece')
    name = 'vit_base_patch14_reg1_tipsv2'
    write_tips(tmp_path / 'tips', model=name, vocabulary=32_000, layers=12, hidden=3072)
    built = step(lgd_config, dict(type='mmlgd.TIPSTeacher', weights=str(tmp_path / 'tips')))
    assert built.teacher.image_size == (448, 448) and built.teacher.embed_dim == 768


@has_radio
@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_step_with_radio(lgd_config, tmp_path):
    pytest.importorskip('transformers')
    name = 'vit_base_patch16_radio_v3'
    write_radio(tmp_path / 'radio.pth.tar', model=name, dim=768, hidden=1520)
    words = dict(type='mmlgd.OpenCLIPTeacher', model=offline('ViT-B-16-SigLIP2', tmp_path), pretrained=None)
    teacher = dict(type='mmlgd.RADIOTeacher', weights=str(tmp_path / 'radio.pth.tar'), words=words, model=name)
    built = step(lgd_config, teacher)
    assert built.teacher.image_size == (512, 512) and built.teacher.embed_dim == 768
