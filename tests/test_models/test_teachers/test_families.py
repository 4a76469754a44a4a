"""Every kind of model that open_clip lists, in small: what it embeds is what open_clip embeds."""

import importlib.util

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import _build_vision_tower

from mmlgd import OpenCLIPTeacher
from mmlgd.models.teachers import TeacherError, openclip

from .shrunken import pixels_of, write_teacher

# One of each kind of image tower, text tower and tokenizer.
FAMILIES = [
    'RN50',
    'ViT-B-32-quickgelu',
    'ViT-B-16-SigLIP',
    'ViT-B-16-SigLIP2',
    'ViT-bigG-14-CLIPA',
    'ViT-H-14-worldwide',
    'convnext_tiny',
    'MobileCLIP-S1',
    'MobileCLIP2-S3',
    'EVA02-B-16',
    'ViTamin-S',
    'PE-Core-T-16-384',
    'coca_ViT-B-32',
    'coca_roberta-ViT-B-32',
    'roberta-ViT-B-32',
    'xlm-roberta-base-ViT-B-32',
    'mt5-base-ViT-B-32',
    'nllb-clip-base-siglip',
]
PROMPTS = ['a photo of a red panda', 'it']


def check(model, folder):
    name = write_teacher(folder, model)
    teacher = OpenCLIPTeacher(name)
    clip, tokenizer = open_clip.create_model(name).eval(), open_clip.get_tokenizer(name)
    x = torch.rand(2, 3, *teacher.image_size, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        image = F.normalize(clip.encode_image((x / 255 - teacher.mean) / teacher.std), dim=-1)
        text = F.normalize(clip.encode_text(tokenizer(PROMPTS)), dim=-1)
    torch.testing.assert_close(teacher.encode_image(x), image, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(teacher.encode_text(PROMPTS), text)
    counts, most = teacher.count_tokens(PROMPTS)
    assert most == tokenizer.context_length >= counts[0] > counts[1] > 0
    assert (text[0] - text[1]).abs().max() > 1e-4 and teacher.embed_dim == text.shape[1] == image.shape[1]


@pytest.mark.parametrize('model', FAMILIES)
def test_each_family_embeds_as_open_clip_does(model, tmp_path):
    pytest.importorskip('transformers')
    check(model, tmp_path / 'teacher')


@pytest.mark.parametrize('model', ['ViT-B-16-SigLIP', 'MobileCLIP-S1', 'PE-Core-T-16-384', 'coca_ViT-B-32'])
def test_each_family_has_pixels_of_its_own(model, tmp_path):
    pytest.importorskip('transformers')
    teacher, told = OpenCLIPTeacher(write_teacher(tmp_path / 'teacher', model)), pixels_of(model)
    found = dict(mean=teacher.mean, std=teacher.std)
    for name, value in found.items():
        torch.testing.assert_close(value.flatten(), torch.tensor(told[name]))
    assert teacher.interpolation == told['interpolation']


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize('model', sorted({*open_clip.list_models()} - {*FAMILIES}))
def test_all_architectures_embed_as_open_clip_does(model, tmp_path):
    pytest.importorskip('transformers')
    check(model, tmp_path / 'teacher')


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize('model', open_clip.list_models())
def test_image_towers_of_full_size_give_one_embedding(model):
    config = open_clip.get_model_config(model)
    vision = config['vision_cfg']
    with torch.device('meta'), torch.no_grad():  # shapes alone: no memory, no time
        tower = _build_vision_tower(config['embed_dim'], vision)
        tower.output_tokens = False
        assert tower(torch.zeros(2, 3, vision['image_size'], vision['image_size'])).shape == (2, config['embed_dim'])


def test_what_is_not_installed_is_named(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(openclip, 'find_spec', lambda name: None if name == 'transformers' else find_spec(name))
    for model in ('roberta-ViT-B-32', 'ViT-B-16-SigLIP'):
        with pytest.raises(ImportError, match=f'{model}.*transformers, which is not installed: pip install'):
            OpenCLIPTeacher(model, pretrained=None)


def test_errors_have_their_cause(monkeypatch):
    pytest.importorskip('transformers')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('transformers.utils.hub._is_offline_mode', True)
    with pytest.raises(FileNotFoundError, match="text tower 'roberta-base'.*OSError.*offline"):
        OpenCLIPTeacher('roberta-ViT-B-32', pretrained=None)
    with pytest.raises(FileNotFoundError, match="tokenizer 'timm/ViT-B-16-SigLIP'.*OSError.*(?i:offline|connect)"):
        openclip._tokenizer('x', 'ViT-B-16-SigLIP', dict(hf_tokenizer_name='timm/ViT-B-16-SigLIP'), None)


def test_a_tokenizer_of_another_tower_is_refused(tmp_path):
    pytest.importorskip('transformers')
    write_teacher(tmp_path / 'teacher', 'ViT-H-14-worldwide')
    file = tmp_path / 'teacher/open_clip_config.json'
    file.write_text(file.read_text().replace('"hf_tokenizer_name"', '"tokenizer_mode"'))  # CLIP's own: 49,408 words
    with pytest.raises(TeacherError, match='cannot read a prompt from its tokenizer: IndexError'):
        OpenCLIPTeacher(f'local-dir:{tmp_path / "teacher"}')
