"""C-RADIO in small: the summary token of one adaptor, its head, and the text tower of another teacher."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from timm.models import vision_transformer

from mmlgd import RADIOTeacher
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.models import OpenCLIPTeacher
from mmlgd.models.teachers import TeacherError

from .shrunken import write_teacher
from .tiny_towers import CLIP, has_radio, write_radio

pytestmark = has_radio
PROMPTS = ['a photo of a red panda', 'it']


@pytest.fixture(scope='module')
def words(tmp_path_factory):
    """Settings of a small SigLIP 2."""
    pytest.importorskip('transformers')
    name = write_teacher(tmp_path_factory.mktemp('words') / 'siglip', 'ViT-gopt-16-SigLIP2-384')
    return dict(type='mmlgd.OpenCLIPTeacher', model=name)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """The file of a small random C-RADIO, its tensors, and its tower."""
    file = tmp_path_factory.mktemp('radio') / 'tiny_half.pth.tar'
    return str(file), *write_radio(file)


def head_of(state, x, adaptor='siglip2-g'):
    own = {k.removeprefix(f'_heads.{adaptor}.'): v for k, v in state.items() if k.startswith(f'_heads.{adaptor}.')}

    def layer(x, name):
        x = F.gelu(F.layer_norm(x, x.shape[-1:], own[f'{name}.0.weight'], own[f'{name}.0.bias']))
        return F.linear(x, own[f'{name}.2.weight'], own[f'{name}.2.bias'])

    x = F.linear(x, own['fc1.weight'], own['fc1.bias'])
    for name in ('blocks.0', 'blocks.1'):
        x = x + layer(x, name)
    return layer(x, 'final')


def normalised(x):
    mean, std = (torch.tensor(CLIP[name]).view(3, 1, 1) for name in ('mean', 'std'))
    return (x / 255 - mean) / std


@pytest.mark.parametrize('adaptor, index', [('dino', 0), ('siglip2-g', 1), ('sam', 2)])
def test_an_image_is_the_head_of_its_summary_token(adaptor, index, written, words):
    file, state, trunk = written
    teacher = RADIOTeacher(file, words, 'tiny_radio_v4', adaptor)
    x = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        expected = head_of(state, trunk.forward_features(normalised(x))[:, index], adaptor)
    torch.testing.assert_close(teacher.encode_image(x), F.normalize(expected, dim=-1), atol=1e-5, rtol=1e-4)


def test_texts_are_those_of_the_other_teacher(written, words):
    other, teacher = OpenCLIPTeacher(words['model']), RADIOTeacher(written[0], words, 'tiny_radio_v4')
    torch.testing.assert_close(teacher.encode_text(PROMPTS), other.encode_text(PROMPTS))
    assert teacher.count_tokens(PROMPTS) == other.count_tokens(PROMPTS)
    assert teacher.own_temperature == other.own_temperature and teacher.embed_dim == 64
    assert teacher.words.image_tower is None
    teacher.free_text_tower()
    with pytest.raises(RuntimeError, match='freed'):
        teacher.encode_text(PROMPTS)


def test_places_pass_the_last_block_alone_and_the_head(written, words, monkeypatch):
    file, state, trunk = written
    teacher = RADIOTeacher(file, words, 'tiny_radio_v4', places_residual=True, places_mlp=True)
    x = torch.rand(2, 3, 64, 64) * 255
    found = teacher.encode(x, places=True)
    torch.testing.assert_close(found.image, teacher.encode_image(x), atol=1e-5, rtol=0)
    with torch.no_grad():
        tokens = trunk.blocks[0](trunk._pos_embed(trunk.patch_embed(normalised(x))))
        expected = head_of(state, trunk.blocks[1](tokens[:, 5 + 6 : 5 + 7])[:, 0])
    torch.testing.assert_close(found.places[:, 1, 2], F.normalize(expected, dim=-1), atol=1e-5, rtol=1e-4)
    larger = RADIOTeacher(file, words, 'tiny_radio_v4', image_size=96, places_size=(32, 128))
    assert larger.image_size == (96, 96)
    monkeypatch.setattr(  # as on another processor
        vision_transformer, 'resample_abs_pos_embed', lambda *args, **more: resample_abs_pos_embed(*args, **more) + 1e-6
    )
    again = RADIOTeacher(file, words, 'tiny_radio_v4', image_size=96, places_size=(32, 128))
    assert again.identity == larger.identity
    assert larger.encode_places(torch.rand(1, 3, 50, 50)).shape == (1, 2, 8, 64)


def test_a_file_of_tensors_alone_needs_the_place_of_its_token(written, words, tmp_path):
    file = str(tmp_path / 'radio.safetensors')
    save_file(written[1], file)
    with pytest.raises(TeacherError, match="which summary token is that of 'siglip2-g'"):
        RADIOTeacher(file, words, 'tiny_radio_v4')
    with pytest.raises(TeacherError, match='has no summary token 9.*has 5 rows'):
        RADIOTeacher(file, words, 'tiny_radio_v4', summary=9)
    teacher, same = (
        RADIOTeacher(file, words, 'tiny_radio_v4', summary=1),
        RADIOTeacher(written[0], words, 'tiny_radio_v4'),
    )
    assert same_teacher(teacher.identity, same.identity)
    assert not same_teacher(RADIOTeacher(file, words, 'tiny_radio_v4', summary=2).identity, same.identity)


def test_what_does_not_fit_is_refused(written, words, tmp_path):
    for arguments, message in (
        (dict(adaptor='clip'), "has no adaptor 'clip'; it has 'dino', 'siglip2-g', 'sam'"),
        (dict(adaptor='clip', summary=0), "has no head for 'clip'; it has heads for dino, sam, siglip2-g"),
        (dict(model='vit_x'), "no model 'vit_x'.*C-RADIO 1.0.31"),
        (dict(model='vit_base_patch16_radio_v3'), 'weights into vit_base_patch16_radio_v3'),
    ):
        with pytest.raises(TeacherError, match=message):
            RADIOTeacher(written[0], words, **{'model': 'tiny_radio_v4', **arguments})
    write_radio(tmp_path / 'twice.pth.tar', teachers=['dino', 'siglip2-g', 'dino'])
    with pytest.raises(TeacherError, match='share summary tokens'):
        RADIOTeacher(str(tmp_path / 'twice.pth.tar'), words, 'tiny_radio_v4')
    write_radio(tmp_path / 'narrow.pth.tar', dim=48)
    with pytest.raises(TeacherError, match='48 dimensions, and the teacher of words 64'):
        RADIOTeacher(str(tmp_path / 'narrow.pth.tar'), words, 'tiny_radio_v4')
    state = {name: value for name, value in written[1].items() if name != '_heads.siglip2-g.final.0.bias'}
    torch.save(state, tmp_path / 'lacks.pth')
    with pytest.raises(TeacherError, match='not of version v2'):
        RADIOTeacher(str(tmp_path / 'lacks.pth'), words, 'tiny_radio_v4', summary=0)


def test_images_are_normalised_as_the_file_says(written, words, tmp_path):
    """As in C-RADIO's own code, which loads its conditioner from there; timm's settings are for files without."""
    state = dict(torch.load(written[0], weights_only=False)['state_dict'])
    own = dict(mean=[0.25, 0.5, 0.75], std=[0.5, 0.25, 1.0])
    state.update({f'module.input_conditioner.norm_{k}': torch.tensor(v).view(3, 1, 1) for k, v in own.items()})
    torch.save(state, tmp_path / 'own.pth')
    teacher, timms = (
        RADIOTeacher(str(f), words, 'tiny_radio_v4', summary=1) for f in (tmp_path / 'own.pth', written[0])
    )
    x = torch.rand(2, 3, 64, 64) * 255
    mean, std = (torch.tensor(own[name]).view(3, 1, 1) for name in ('mean', 'std'))
    torch.testing.assert_close(teacher.normalized(x), (x / 255 - mean) / std)
    torch.testing.assert_close(timms.normalized(x), normalised(x))
    assert not same_teacher(teacher.identity, timms.identity)


def test_damaged_files_say_so(written, words, tmp_path):
    save_file(written[1], tmp_path / 'whole.safetensors')
    (tmp_path / 'cut.safetensors').write_bytes((tmp_path / 'whole.safetensors').read_bytes()[:-100])
    state, prefix = written[1], 'base_model.patch_generator.cls_token.token'
    for name, content in (
        ('list.pth', dict(state_dict=[1, 2])),
        ('flat.pth', {**state, prefix: torch.tensor(1.0)}),
        ('narrow.pth', {**state, '_heads.siglip2-g.fc1.weight': torch.zeros(40, 31)}),
        ('numbered.pth', {**state, 3: torch.zeros(1)}),
    ):
        torch.save(content, tmp_path / name)
    for name, message in (
        ('cut.safetensors', 'cut.safetensors is damaged.*Copy it again'),
        ('list.pth', 'has a list as its state dict'),
        ('flat.pth', 'has no summary token 1: .* has 0 rows'),
        ('narrow.pth', 'takes 31 channels, and its tower has 32'),
    ):
        with pytest.raises(TeacherError, match=message):
            RADIOTeacher(str(tmp_path / name), words, 'tiny_radio_v4', summary=1 if name != 'list.pth' else 0)
    with pytest.raises(FileNotFoundError, match='no file of C-RADIO'):
        RADIOTeacher(str(tmp_path / 'none.safetensors'), words, 'tiny_radio_v4')
    assert RADIOTeacher(str(tmp_path / 'numbered.pth'), words, 'tiny_radio_v4', summary=1).embed_dim == 64
