import json
import shutil
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torchvision.transforms.functional import normalize

from mmlgd import OpenCLIPTeacher
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.models.teachers import openclip, weights
from mmlgd.models.teachers.weights import find_weights
from mmlgd.registry import MODELS

STUDENT = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@pytest.fixture
def teacher(tiny_clip):
    return OpenCLIPTeacher(tiny_clip)


def test_encodes_what_open_clip_encodes(teacher, tiny_clip):
    clip = open_clip.create_model(tiny_clip).eval()
    pixels = torch.rand(4, 3, 64, 64)
    teacher.expect_pixels(**STUDENT)
    mean, std = ([v / 255 for v in STUDENT[key]] for key in ('mean', 'std'))
    with torch.no_grad():
        expected = clip.encode_image(normalize(pixels, [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]), normalize=True)
        text = clip.encode_text(open_clip.get_tokenizer(tiny_clip)(['a cat']), normalize=True)
    torch.testing.assert_close(teacher.encode_image(normalize(pixels, mean, std)), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(teacher.encode_text(['a cat']), text)


def test_a_word_is_cut_off_behind_the_template_of_most_tokens(teacher):
    """'corrupted' is two tokens, so the longest template in characters is not that in tokens."""
    templates = ['a {}', 'a black and white photo of the {}', 'a jpeg corrupted photo of a {}']
    words = ['a red cat', 'a red cat on a mat now', 'a red cat on a mat now and then']
    told, most = teacher.count_tokens([template.replace('{}', words[1]) for template in templates])
    assert most == 16 and told[1] == most < told[2]
    assert teacher.cut_off(words, templates) == words[1:]
    assert teacher.cut_off(words, templates[:2]) == words[2:]


def test_a_batch_of_another_size_is_resized(teacher):
    x = torch.rand(2, 3, 96, 80) * 255
    resized = F.interpolate(x, (64, 64), mode='bicubic', antialias=True)
    torch.testing.assert_close(teacher.encode_image(x), teacher.encode_image(resized), atol=1e-5, rtol=1e-4)


def test_output_is_unit_float32_without_gradient(teacher):
    with torch.autocast('cpu', dtype=torch.bfloat16):
        t = teacher.encode_image(torch.rand(2, 3, 64, 64, requires_grad=True))
    assert t.dtype == torch.float32 and not t.requires_grad and t.shape == (2, teacher.embed_dim)
    torch.testing.assert_close(t.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize('to_rgb', [True, False])
@pytest.mark.parametrize('kind', ['SelfSupDataPreprocessor', 'ClsDataPreprocessor', 'mmlgd.PretrainDataPreprocessor'])
@pytest.mark.parametrize('normalize', [True, False])
def test_the_teacher_sees_the_image_whatever_the_student_sees(teacher, to_rgb, kind, normalize):
    """Images are loaded as BGR; a student may take them so, with statistics in this order."""
    loaded = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).float()
    statistics = dict(mean=[10.0, 50.0, 120.0], std=[20.0, 40.0, 60.0]) if normalize else {}
    preprocessor = MODELS.build(dict(type=kind if '.' in kind else f'mmpretrain.{kind}', to_rgb=to_rgb, **statistics))
    inputs = preprocessor(dict(inputs=loaded, data_samples=None))['inputs']
    expected = teacher.encode_image(loaded.flip(1))  # 0..255, RGB: what it expects at first
    teacher.expect_pixels_of(preprocessor)
    torch.testing.assert_close(teacher.encode_image(inputs), expected, atol=1e-5, rtol=1e-4)


def test_the_text_tower_is_freed(teacher):
    before, text = (len([*module.parameters()]) for module in (teacher, teacher.text_tower))
    teacher.free_text_tower()
    assert len([*teacher.parameters()]) == before - text < before
    with pytest.raises(RuntimeError, match='freed'):
        teacher.encode_text(['a cat'])


def test_identity_follows_the_weights(teacher, tiny_clip, tmp_path, monkeypatch):
    assert OpenCLIPTeacher(tiny_clip).identity == teacher.identity
    folder = Path(tiny_clip.removeprefix('local-dir:'))
    monkeypatch.chdir(folder.parent)
    assert OpenCLIPTeacher(f'local-dir:{folder.name}').identity == teacher.identity and '/' not in folder.name
    shutil.copytree(folder, tmp_path / 'moved')
    moved = OpenCLIPTeacher(f'local-dir:{tmp_path / "moved"}')
    assert same_teacher(moved.identity, teacher.identity) and str(tmp_path) not in moved.identity
    for change in ('activation', 'pixels', 'tokenizer'):
        config = json.loads((folder / 'open_clip_config.json').read_text())
        config['model_cfg']['quick_gelu'] = change == 'activation'
        config['model_cfg']['text_cfg']['tokenizer_kwargs'] = dict(clean='whitespace') if change == 'tokenizer' else {}
        config['preprocess_cfg'].update(dict(mean=[0.5] * 3) if change == 'pixels' else {})
        (tmp_path / 'moved/open_clip_config.json').write_text(json.dumps(config))
        changed = OpenCLIPTeacher(f'local-dir:{tmp_path / "moved"}')
        assert changed.identity.rpartition('/')[2] == teacher.identity.rpartition('/')[2]
        assert not same_teacher(changed.identity, teacher.identity)
    other = OpenCLIPTeacher('ViT-S-32-alt', pretrained=None)
    assert (
        other.identity != OpenCLIPTeacher('ViT-S-32-alt', pretrained=None).identity
    )  # random weights are not the same


def test_weights_from_a_local_file(tmp_path):
    clip = open_clip.create_model('ViT-S-32-alt')
    torch.save(clip.state_dict(), tmp_path / 'weights.pt')
    teacher = OpenCLIPTeacher('ViT-S-32-alt', pretrained=str(tmp_path / 'weights.pt'))
    loaded = teacher.image_tower.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in clip.visual.state_dict().items())


def test_a_tokenizer_that_is_not_here_is_named_with_the_place_for_it(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError('no network')

    monkeypatch.setattr(open_clip, 'get_tokenizer', offline)
    name, source = 'ViT-B-16-SigLIP', 'timm/ViT-B-16-SigLIP'
    match = rf"tokenizer '{source}'.*get_tokenizer\('{name}'\).*models--timm--{name} .* into /cache here, or use"
    with pytest.raises(FileNotFoundError, match=match):
        openclip._tokenizer(name, name, dict(hf_tokenizer_name=source), '/cache')


def test_openai_weights_get_quick_gelu(monkeypatch, tmp_path):
    assert find_weights('RN50', 'openai').quick_gelu
    assert not find_weights('ViT-B-32', 'laion2b_s34b_b79k').quick_gelu
    asked = {}

    def create_model(**arguments):
        asked.update(arguments)
        raise OSError('no such thing')

    def download(tag, cache_dir):
        raise OSError('no network')

    monkeypatch.setattr(open_clip, 'create_model', create_model)
    monkeypatch.setattr(weights, 'found_without_host', lambda *args, **kwargs: None)
    monkeypatch.setattr(weights, 'download_pretrained', download)
    match = r'(?s)no network.*Download them elsewhere.*RN50.pt.*huggingface.*RN50:openai:/path.*~/.cache/clip'
    with pytest.raises(FileNotFoundError, match=match):
        OpenCLIPTeacher('RN50', 'openai')
    file = str(tmp_path / 'there.safetensors')
    Path(file).write_bytes(bytes(8))
    monkeypatch.setattr(weights, 'download_pretrained', lambda tag, cache_dir: file)
    with pytest.raises(ValueError, match='no such thing'):
        OpenCLIPTeacher('RN50', 'openai')
    assert asked['force_quick_gelu'] and asked['pretrained'] == file


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(model='RN51'), ValueError, 'Unknown open_clip architecture'),
        (dict(model='RN50', pretrained='nobody'), ValueError, 'neither a file nor a tag.*openai'),
        (dict(model='local-dir:/nowhere'), FileNotFoundError, 'open_clip_config.json'),
    ],
)
def test_wrong_names_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        OpenCLIPTeacher(**arguments)


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / 'broken.pt').write_bytes(b'PK\x03\x04 not a checkpoint')
    with pytest.raises(ValueError, match='damaged'):
        OpenCLIPTeacher('RN50', pretrained=str(tmp_path / 'broken.pt'))


def test_a_folder_without_weights_is_refused(tiny_clip, tmp_path):
    source = Path(tiny_clip.split(':', 1)[1])
    (tmp_path / 'open_clip_config.json').write_text((source / 'open_clip_config.json').read_text())
    with pytest.raises(FileNotFoundError, match='open_clip_model.safetensors'):
        OpenCLIPTeacher(f'local-dir:{tmp_path}')
    assert load_file(source / 'open_clip_model.safetensors')  # the fixture itself has them
