"""Folders and repositories of others: small ones load, and none of them runs code."""

import json
import shutil
import zipfile

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub.utils import reset_sessions
from safetensors.torch import load_file

from mmlgd import OpenCLIPTeacher
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.errors import MMLGDError
from mmlgd.models.teachers.folders import check_folder
from tests.malicious import ENDLESS

from .shrunken import write_teacher


@pytest.fixture
def marker(tmp_path):
    yield tmp_path / 'executed'
    assert not (tmp_path / 'executed').exists(), 'code in the folder was executed'


@pytest.fixture(scope='module')
def roberta(tmp_path_factory):
    """A teacher with text tower and tokenizer of transformers."""
    pytest.importorskip('transformers')
    folder = tmp_path_factory.mktemp('roberta') / 'teacher'
    write_teacher(folder, 'roberta-ViT-B-32')
    return folder


@pytest.fixture
def folder(roberta, tmp_path, marker):
    """A copy of it to be changed, with a file of code in it."""
    folder = tmp_path / 'teacher'
    shutil.copytree(roberta, folder)
    code = f'import os\nos.mkdir({str(marker)!r})\nclass Config: pass\nclass Tokenizer: pass\n'
    (folder / 'evil.py').write_text(code)
    return folder


def change(folder, file, **changes):
    """Set values of a JSON file by their dotted keys."""
    content = json.loads((folder / file).read_text())
    for path, value in changes.items():
        at = content
        *way, last = path.split('.')
        for key in way:
            at = at.setdefault(key, {})
        at[last] = value
    (folder / file).write_text(json.dumps(content))


def in_cache(folder, cache, name='org/name'):
    """Put a folder where huggingface_hub keeps what it has downloaded."""
    commit = '0123456789' * 4
    place = cache / f'models--{name.replace("/", "--")}'
    (place / 'refs').mkdir(parents=True)
    (place / 'refs' / 'main').write_text(commit)
    shutil.copytree(folder, place / 'snapshots' / commit)
    return f'hf-hub:{name}'


@pytest.fixture(params=['local-dir', 'hf-hub'])
def load(request, folder, tmp_path, monkeypatch):
    """Load the folder as it is then, from disk or as a repository."""
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    reset_sessions()  # one that an earlier test began would ask the network, six times
    cache = tmp_path / 'cache'

    def load():
        if request.param == 'local-dir':
            return OpenCLIPTeacher(f'local-dir:{folder}')
        return OpenCLIPTeacher(in_cache(folder, cache), cache_dir=str(cache))

    return load


TOKENIZER = {'auto_map': {'AutoTokenizer': ['evil.Tokenizer', None]}, 'tokenizer_class': 'EvilTokenizer'}
ATTACKS = {
    # What is set in which file, and which name the error has in it.
    'trust': (
        'trust_remote_code',
        {
            'open_clip_config.json': {'model_cfg.text_cfg.tokenizer_kwargs': dict(trust_remote_code=True)},
            'tokenizer_config.json': TOKENIZER,
        },
    ),
    'custom tokenizer': ('auto_map', {'tokenizer_config.json': TOKENIZER}),
    'custom tower': ('auto_map', {'config.json': dict(auto_map={'AutoConfig': 'evil.Config'}, model_type='evil')}),
    'hidden': ('auto_map', {'config.json': {'text_config.auto_map': {'AutoConfig': 'evil.Config'}}}),
    'pipeline': ('custom_pipelines', {'config.json': dict(custom_pipelines=dict(x=dict(impl='evil.Config')))}),
    'timm': ('timm_model_name', {'open_clip_config.json': {'model_cfg.vision_cfg.timm_model_name': 'hf-hub:a/b'}}),
}


@pytest.mark.parametrize('attack', ATTACKS)
def test_no_code_of_a_folder_or_repository_runs(attack, folder, load):
    name, changes = ATTACKS[attack]
    for file, values in changes.items():
        change(folder, file, **values)
    with pytest.raises(MMLGDError, match=name):
        load()


def test_a_text_tower_elsewhere_brings_no_code(folder, load, tmp_path, marker):
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    shutil.copy(folder / 'evil.py', elsewhere)
    (elsewhere / 'config.json').write_text(json.dumps(dict(model_type='evil', auto_map={'AutoConfig': 'evil.Config'})))
    change(folder, 'open_clip_config.json', **{'model_cfg.text_cfg.hf_model_name': str(elsewhere)})
    with pytest.raises(MMLGDError, match='settings of the text tower .*elsewhere'):
        load()


@pytest.mark.parametrize(
    'key, value',
    [
        ('code', 'x'),
        ('model_cfg.code', 'x'),
        ('model_cfg.vision_cfg.code', 1),
        ('model_cfg.text_cfg.code', 1),
        ('model_cfg.multimodal_cfg.code', 1),
        ('model_cfg.text_cfg.tokenizer_kwargs.bpe_path', '/etc/passwd'),
        ('model_cfg.text_cfg.tokenizer_kwargs.reduction_mask', 'syntax'),
        ('model_cfg.text_cfg.tokenizer_kwargs.trust_remote_code', False),
        ('model_cfg.vision_cfg.norm_kwargs.code', 1),
        ('model_cfg.vision_cfg.width', dict(a=1)),
        ('model_cfg.text_cfg', [1]),
        ('model_cfg.embed_dim', [[1]]),
        ('preprocess_cfg.code', 1),
        ('model_cfg', None),
    ],
)
def test_settings_that_are_not_known_are_refused_by_name(key, value, tmp_path):
    settings = dict(model_cfg=dict(embed_dim=8, vision_cfg={}, text_cfg={}))
    (tmp_path / 'open_clip_config.json').write_text(json.dumps(settings))
    assert check_folder(tmp_path) == settings['model_cfg']
    change(tmp_path, 'open_clip_config.json', **{key: value})
    with pytest.raises(MMLGDError, match=key.rpartition('.')[2]):
        check_folder(tmp_path)


@pytest.mark.parametrize('text', ['', '{"model_cfg":', '[]', '[' * 100_000, '"a"', '{"model_cfg": {}}'])
def test_damaged_settings_are_refused(text, tmp_path):
    (tmp_path / 'open_clip_config.json').write_text(text)
    with pytest.raises(MMLGDError, match='damaged'):
        check_folder(tmp_path)


@pytest.mark.parametrize('model', open_clip.list_models())
def test_the_settings_of_all_architectures_are_known(model, tmp_path):
    settings = dict(
        model_cfg=open_clip.get_model_config(model), preprocess_cfg=dict(mean=[0, 0, 0], resize_mode='squash')
    )
    (tmp_path / 'open_clip_config.json').write_text(json.dumps(settings))
    assert check_folder(tmp_path) == settings['model_cfg']


def test_a_repository_is_read_as_a_folder(roberta, tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    cache = tmp_path / 'cache'
    shutil.copytree(roberta, tmp_path / 'x')
    change(tmp_path / 'x', 'open_clip_config.json', **{'model_cfg.text_cfg.hf_tokenizer_name': str(roberta)})
    by_name = OpenCLIPTeacher(in_cache(tmp_path / 'x', cache), cache_dir=str(cache))
    by_path = OpenCLIPTeacher(f'local-dir:{roberta}')
    assert same_teacher(by_name.identity, by_path.identity) and by_name.identity.startswith(
        'open_clip/hf-hub:org/name/'
    )
    torch.testing.assert_close(by_name.encode_text(['a panda']), by_path.encode_text(['a panda']))
    with pytest.raises(MMLGDError, match="Could not get 'hf-hub:org/other'"):
        OpenCLIPTeacher('hf-hub:org/other', cache_dir=str(cache))


def deflated(file):
    """Pack the members of an archive as small as they go."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def tiny(tiny_clip, tmp_path):
    """A copy of the small teacher, to be changed."""
    return shutil.copytree(tiny_clip.partition(':')[2], tmp_path / 'tiny')


def test_pickled_weights_of_a_folder_are_read_as_ours_are(tiny, tiny_clip):
    state = load_file(tiny / 'open_clip_model.safetensors')
    (tiny / 'open_clip_model.safetensors').unlink()
    file = tiny / 'open_clip_pytorch_model.bin'
    torch.save(state, file)
    torch.save(dict(args=object), tiny / 'training_args.bin')  # which nobody reads
    assert same_teacher(OpenCLIPTeacher(f'local-dir:{tiny}').identity, OpenCLIPTeacher(tiny_clip).identity)
    deflated(file)
    with pytest.raises(MMLGDError, match='compressed parts'):
        OpenCLIPTeacher(f'local-dir:{tiny}')


@pytest.mark.parametrize('ending', ['.pt', '.npz'])
def test_a_file_of_compressed_weights_is_refused(ending, tmp_path):
    file = tmp_path / f'weights{ending}'
    if ending == '.npz':
        np.savez_compressed(file, a=np.zeros(9))
    else:
        torch.save(dict(a=torch.zeros(9)), file)
        deflated(file)
    with pytest.raises(MMLGDError, match='compressed parts'):
        OpenCLIPTeacher('ViT-S-32-alt', pretrained=str(file))


@pytest.mark.parametrize('kind', ENDLESS)
@pytest.mark.parametrize('name', ['open_clip_config.json', 'x_config.json', 'vocab.txt', 'merges.txt'])
def test_a_folder_of_which_a_file_never_ends_is_refused(kind, name, tiny):
    (tiny / name).unlink(missing_ok=True)
    ENDLESS[kind](tiny / name)
    with pytest.raises(MMLGDError, match='cannot be read: it (is a pipe|has)'):
        check_folder(tiny)


def test_safetensors_with_a_header_of_gigabytes_are_refused(tiny):
    (tiny / 'open_clip_model.safetensors').write_bytes((2**33).to_bytes(8, 'little') + b'{')
    with pytest.raises(MMLGDError, match='a header of 8589934592 bytes'):
        OpenCLIPTeacher(f'local-dir:{tiny}')


def test_kernels_of_others_are_not_fetched(tiny):
    (tiny / 'config.json').write_text(json.dumps(dict(text_config=dict(attn_implementation='evil/kernels'))))
    with pytest.raises(MMLGDError, match='attn_implementation'):
        check_folder(tiny)
    (tiny / 'config.json').write_text(json.dumps(dict(attn_implementation='sdpa')))
    check_folder(tiny)
