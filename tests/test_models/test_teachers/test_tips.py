"""TIPSv2 in small: what it embeds is what its authors' formulas say."""

import math
import shutil

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from timm.models import vision_transformer

from mmlgd import TIPSTeacher
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.models.teachers import TeacherError

from .tiny_towers import has_tips, write_tips

pytest.importorskip('sentencepiece')
pytestmark = has_tips
PROMPTS = ['A photo of a red panda', 'it', 'the cat']


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """The folder of a small random TIPS, its tensors, and its image tower."""
    folder = tmp_path_factory.mktemp('tips') / 'tiny'
    return folder, *write_tips(folder)


@pytest.fixture
def teacher(written):
    return TIPSTeacher(str(written[0]), 'tiny_tipsv2')


def text_of(state, ids, heads):
    """One prompt without padding, block by block."""
    own = {name.removeprefix('text_encoder.'): value for name, value in state.items()}

    def linear(x, name):
        return F.linear(x, own[f'{name}.weight'], own[f'{name}.bias'])

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], own[f'{name}.weight'], own[f'{name}.bias'])

    x = own['token_embedding.weight'][ids]
    length, width = x.shape
    x = x * math.sqrt(width)
    for position in range(length):
        for wave in range(width // 2):
            angle = position / 10_000 ** (wave / (width // 2 - 1))
            x[position, wave] += math.sin(angle)
            x[position, width // 2 + wave] += math.cos(angle)
    for k in range(2):
        block = f'transformer.resblocks.{k}'
        y = F.linear(norm(x, f'{block}.ln_1'), own[f'{block}.attn.in_proj_weight'], own[f'{block}.attn.in_proj_bias'])
        q, key, v = (part.unflatten(1, (heads, -1)).transpose(0, 1) for part in y.chunk(3, dim=1))
        weights = (q @ key.mT / math.sqrt(width // heads)).softmax(-1)
        x = x + linear((weights @ v).transpose(0, 1).flatten(1), f'{block}.attn.out_proj')
        x = x + linear(linear(norm(x, f'{block}.ln_2'), f'{block}.mlp.c_fc').relu(), f'{block}.mlp.c_proj')
    return norm(x, 'ln_final').mean(0)


def test_texts_are_those_of_the_formula(written, teacher):
    ids, padding = teacher.tokenizer(PROMPTS)
    assert padding[0].logical_not().all() and padding[1].any()
    expected = torch.stack([text_of(written[1], row[~pad], 4) for row, pad in zip(ids, padding)])
    torch.testing.assert_close(teacher.encode_text(PROMPTS), F.normalize(expected, dim=-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(teacher.encode_text(PROMPTS[1:2]), teacher.encode_text(PROMPTS)[1:2])
    torch.testing.assert_close(teacher.encode_text([PROMPTS[0].upper()]), teacher.encode_text(PROMPTS[:1]))


def test_long_prompts_are_cut_off_and_counted(teacher):
    counts, most = teacher.count_tokens([' '.join(PROMPTS * 20), 'it'])
    assert most == 64 < counts[0] and 0 < counts[1] < 5
    assert teacher.tokenizer([' '.join(PROMPTS * 20)])[0].shape == (1, 64)
    with pytest.raises(TeacherError, match="prompt '' has no tokens"):
        teacher.encode_text(['cat', ''])


def test_an_image_is_its_class_token_in_pixels_from_0_to_1(written, teacher):
    x = torch.rand(2, 3, 56, 56) * 255
    with torch.no_grad():
        expected = F.normalize(written[2].forward_features(x / 255)[:, 0], dim=-1)
    torch.testing.assert_close(teacher.encode_image(x), expected, atol=1e-5, rtol=1e-4)
    assert 'state_dict' not in teacher.image_tower.trunk.pretrained_cfg  # which would keep the file in memory
    assert teacher.image_size == (56, 56) and teacher.embed_dim == 32 and teacher.interpolation == 'bilinear'


def test_places_are_the_last_block_of_each_token_alone(written, teacher):
    x, trunk = torch.rand(2, 3, 56, 56), written[2]
    found = teacher.encode(x * 255, places=True)
    torch.testing.assert_close(found.image, teacher.encode_image(x * 255), atol=1e-5, rtol=0)
    with torch.no_grad():
        tokens = trunk._pos_embed(trunk.patch_embed(x))
        token = trunk.blocks[0](tokens)[:, 2 + 5 : 2 + 6]  # behind the class token and the register
        expected = F.normalize(trunk.norm(trunk.blocks[1](token))[:, 0], dim=-1)
    torch.testing.assert_close(found.places[:, 1, 1], expected, atol=1e-5, rtol=1e-4)
    assert found.places.shape == (2, 4, 4, 32)


def test_sizes(written):
    folder = str(written[0])
    teacher = TIPSTeacher(folder, 'tiny_tipsv2', image_size=84, places_size=(28, 112))
    assert teacher.image_size == (84, 84)
    assert teacher.encode_image(torch.rand(1, 3, 30, 40)).shape == (1, 32)
    assert teacher.encode_places(torch.rand(1, 3, 30, 40)).shape == (1, 2, 8, 32)
    for wrong in (dict(places_size=50), dict(image_size=0), dict(image_size=57), dict(image_size=(28, 50))):
        with pytest.raises(TeacherError, match=next(iter(wrong))):
            TIPSTeacher(folder, 'tiny_tipsv2', **wrong)


def test_identity(written, teacher, tmp_path, monkeypatch):
    shutil.copytree(written[0], tmp_path / 'moved')
    assert same_teacher(TIPSTeacher(str(tmp_path / 'moved'), 'tiny_tipsv2').identity, teacher.identity)
    assert not same_teacher(TIPSTeacher(str(written[0]), 'tiny_tipsv2', image_size=28).identity, teacher.identity)
    state = load_file(tmp_path / 'moved/model.safetensors')
    larger = TIPSTeacher(str(tmp_path / 'moved'), 'tiny_tipsv2', image_size=84).identity
    monkeypatch.setattr(  # as on another processor
        vision_transformer, 'resample_abs_pos_embed', lambda *args, **more: resample_abs_pos_embed(*args, **more) + 1e-6
    )
    assert TIPSTeacher(str(tmp_path / 'moved'), 'tiny_tipsv2', image_size=84).identity == larger
    state['text_encoder.ln_final.bias'] += 1
    save_file(state, tmp_path / 'moved/model.safetensors')
    assert not same_teacher(TIPSTeacher(str(tmp_path / 'moved'), 'tiny_tipsv2').identity, teacher.identity)
    teacher.free_text_tower()
    with pytest.raises(RuntimeError, match='freed'):
        teacher.encode_text(['cat'])


@pytest.mark.parametrize(
    'change, message',
    [
        ('text_encoder.transformer.resblocks.1.ln_2.bias', 'text tower .* is not one of TIPS.*Missing key'),
        ('text_encoder.token_embedding.weight', 'has no text_encoder.token_embedding.weight'),
        ('vision_encoder.blocks.1.attn.qkv.bias', 'weights into tiny_tipsv2.*Missing key'),
    ],
)
def test_a_file_that_lacks_a_tensor_is_refused(change, message, written, tmp_path):
    shutil.copytree(written[0], tmp_path / 'tips')
    state = load_file(written[0] / 'model.safetensors')
    del state[change]
    save_file(state, tmp_path / 'tips/model.safetensors')
    with pytest.raises(TeacherError, match=message):
        TIPSTeacher(str(tmp_path / 'tips'), 'tiny_tipsv2')


def test_a_text_tower_of_another_shape_is_refused(written, tmp_path):
    shutil.copytree(written[0], tmp_path / 'tips')
    state = load_file(written[0] / 'model.safetensors')
    for shape, message in (((64,), 'with a row for each piece'), ((64, 64), 'is not one of TIPS')):
        state['text_encoder.token_embedding.weight'] = torch.zeros(shape)
        save_file(state, tmp_path / 'tips/model.safetensors')
        with pytest.raises(TeacherError, match=message):
            TIPSTeacher(str(tmp_path / 'tips'), 'tiny_tipsv2')


def test_code_in_the_folder_is_not_run(written, tmp_path):
    shutil.copytree(written[0], tmp_path / 'tips')
    (tmp_path / 'tips/config.json').write_text('{"auto_map": {"AutoModel": "modeling.Model"}}')
    for name in ('__init__', 'modeling', 'tokenizer', 'sentencepiece'):
        (tmp_path / f'tips/{name}.py').write_text('raise SystemExit("run")')
    assert TIPSTeacher(str(tmp_path / 'tips'), 'tiny_tipsv2').embed_dim == 32


def test_wrong_folders_are_refused(written, tmp_path):
    with pytest.raises(FileNotFoundError, match='no model.safetensors'):
        TIPSTeacher(str(tmp_path))
    with pytest.raises(TeacherError, match="no model 'vit_x'.*needs timm"):
        TIPSTeacher(str(written[0]), 'vit_x')
    with pytest.raises(TeacherError, match='weights into vit_base_patch14_reg1_tipsv2'):
        TIPSTeacher(str(written[0]))
    shutil.copytree(written[0], tmp_path / 'tips')
    (tmp_path / 'tips/tokenizer.model').write_bytes(b'no model')
    with pytest.raises(TeacherError, match='tokenizer.model is damaged'):
        TIPSTeacher(str(tmp_path / 'tips'), 'tiny_tipsv2')
    write_tips(tmp_path / 'few', vocabulary=20)
    with pytest.raises(TeacherError, match='has 40 pieces, and its text tower knows 20'):
        TIPSTeacher(str(tmp_path / 'few'), 'tiny_tipsv2')
