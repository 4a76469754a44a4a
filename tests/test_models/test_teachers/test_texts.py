"""How each kind of text tower reads a prompt: which token it pools, how long a prompt may be, and its temperature."""

import copy
import re

import open_clip
import pytest
import torch

from mmlgd import OpenCLIPTeacher, TeacherPair
from mmlgd.models import lgd
from mmlgd.models.zero_shot import zero_shot_scores
from mmlgd.registry import MODELS

from .shrunken import write_teacher

PROMPT = 'a photo of a red panda'


def end_of_prompt(tokens, tower):
    return [tokens[0].argmax().item()]


def last(tokens, tower):
    return [tokens.shape[1] - 1]


def behind_the_last(tokens, tower):  # CoCa adds a class token of its own
    return [tokens.shape[1]]


def first_end(tokens, tower):
    return [(tokens[0] == tower.text_eos_id).int().argmax().item()]


def every_word(tokens, tower):
    return (tokens[0] != tower.text.config.pad_token_id).nonzero()[:, 0].tolist()


def first(tokens, tower):
    return [0]


# Architecture, its context length, and the tokens that its training pooled.
TOWERS = {
    'RN50': (77, end_of_prompt),
    'convnext_tiny': (77, end_of_prompt),
    'EVA02-B-16': (77, end_of_prompt),
    'MobileCLIP-S1': (77, end_of_prompt),
    'PE-Core-T-16-384': (32, end_of_prompt),
    'coca_ViT-B-32': (76, behind_the_last),
    'ViT-B-16-SigLIP': (64, last),
    'ViT-B-16-SigLIP2': (64, last),
    'ViT-bigG-14-CLIPA': (32, last),
    'ViT-H-14-worldwide': (77, first_end),
    'roberta-ViT-B-32': (77, every_word),
    'xlm-roberta-base-ViT-B-32': (77, every_word),
    'mt5-base-ViT-B-32': (77, every_word),
    'nllb-clip-base-siglip': (77, first),
}


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Small random teachers."""
    pytest.importorskip('transformers')
    folder, built = tmp_path_factory.mktemp('teachers'), {}

    def teacher(model):
        if model not in built:
            built[model] = OpenCLIPTeacher(write_teacher(folder / model, model))
        return built[model]

    return teacher


def pooled_tokens(tower, tokens):
    """Find the positions whose last hidden state reaches the embedding, by its gradient."""
    states = []

    def keep(module, arguments, output):
        found = output if isinstance(output, torch.Tensor) else output.last_hidden_state
        states.append(found.detach().requires_grad_())
        if isinstance(output, torch.Tensor):
            return states[-1]
        output.last_hidden_state = states[-1]
        return output

    text = getattr(tower, 'text', tower)
    blocks = text.transformer
    handle = blocks.register_forward_hook(keep)
    tower.encode_text(tokens)[0].sum().backward()
    handle.remove()
    return states[-1].grad[0].abs().sum(-1).nonzero()[:, 0].tolist()


@pytest.mark.parametrize('model', TOWERS)
def test_the_tokens_of_its_training_are_pooled(model, small):
    teacher, (_, expected) = small(model), TOWERS[model]
    tokens = teacher.tokenizer([PROMPT])
    assert pooled_tokens(teacher.text_tower, tokens) == expected(tokens, teacher.text_tower)


@pytest.mark.parametrize('model', TOWERS)
def test_a_prompt_is_padded_to_its_length_and_cut_off_there(model, small):
    teacher, (length, _) = small(model), TOWERS[model]
    long = ' '.join([PROMPT] * 30)
    assert teacher.tokenizer([PROMPT, long]).shape == (2, length)
    (count, more), most = teacher.count_tokens([PROMPT, long])
    assert count <= most == length < more
    both = teacher.encode_text([PROMPT, long])
    assert both.isfinite().all()
    torch.testing.assert_close(both[:1], teacher.encode_text([PROMPT]), atol=1e-5, rtol=1e-4)  # no prompt sees another
    torch.testing.assert_close(both[1:], teacher.encode_text([f'{long} {PROMPT}']), atol=1e-5, rtol=1e-4)


def test_tokens_are_counted_as_they_are_read(small):
    """SigLIP reads small letters without punctuation."""
    teacher, odd, plain = small('ViT-B-16-SigLIP'), 'a photo, of "a red" panda!!', 'a photo of a red panda'
    assert torch.equal(*(teacher.tokenizer([prompt]) for prompt in (odd, plain)))
    (count, other), _ = teacher.count_tokens([odd, plain])
    assert count == other


@pytest.mark.parametrize('model', ['RN50', 'ViT-B-16-SigLIP', 'ViT-B-16-SigLIP2'])
def test_its_own_temperature_gives_its_own_probabilities(model, tmp_path):
    """SigLIP's bias is the same for all names: it cancels in a softmax over them."""
    pytest.importorskip('transformers')
    name = write_teacher(tmp_path / 'teacher', model)
    clip, teacher = open_clip.create_model(name).eval(), OpenCLIPTeacher(name)
    x = torch.rand(2, 3, *teacher.image_size) * 255
    names = [PROMPT, 'it', 'a photo']
    with torch.no_grad():
        logits, _ = clip.get_logits((x / 255 - teacher.mean) / teacher.std, teacher.tokenizer(names))
    assert (clip.logit_bias is None) == (model == 'RN50')
    mine = zero_shot_scores(teacher.encode_image(x), teacher.encode_text(names), teacher.own_temperature)
    torch.testing.assert_close(mine, logits.softmax(-1), atol=1e-4, rtol=1e-3)


def test_a_temperature_unlike_its_own_is_told(lgd_config, monkeypatch):
    told = []
    monkeypatch.setattr(lgd, 'print_log', lambda text, *args, **more: told.append(text))
    MODELS.build(copy.deepcopy(lgd_config))
    assert 'was trained with the temperature 0.07' in ' '.join(told)
    told.clear()
    MODELS.build(dict(lgd_config, loss=dict(teacher_temperature=0.07)))
    assert not told


def test_the_temperature_of_words_is_told_as_a_config_has_it(lgd_config, monkeypatch):
    """Whoever sets what the line says does not see it again: the share of looks scales it afterwards."""
    told, looks = [], dict(backbone='timm:test_vit', weights=False)
    neutral = TeacherPair(words=lgd_config['teacher'], looks=looks).looks.neutral()
    pair = dict(type='mmlgd.TeacherPair', words=lgd_config['teacher'], looks=dict(looks, statistics=neutral))
    monkeypatch.setattr(lgd, 'print_log', lambda text, *args, **more: told.append(text))
    MODELS.build(copy.deepcopy(dict(lgd_config, teacher=pair, loss=dict(teacher_temperature=0.02))))
    assert re.search(r"words' teacher was trained with the temperature 0\.07 .* 14\.29.* loss_textual 0\.02", told[-1])
    told.clear()
    MODELS.build(copy.deepcopy(dict(lgd_config, teacher=pair, loss=dict(teacher_temperature=0.07))))
    assert len(told) == 1 and 'loss_textual 0.02214' in told[0]  # only what follows the share
