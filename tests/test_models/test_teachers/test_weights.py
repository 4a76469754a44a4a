"""Weights in a file: with the activation and pixels of their tag, TorchScript archives among them."""

import pickle
import zipfile
from typing import Optional

import open_clip
import pytest
import torch
from open_clip.pretrained import get_pretrained_cfg, list_pretrained
from safetensors.torch import save_file
from torch import nn

from mmlgd import OpenCLIPTeacher, RADIOTeacher, TIPSTeacher
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.errors import MMLGDError
from mmlgd.models.teachers import TeacherError, weights
from mmlgd.models.teachers.torchscript import is_torchscript, read_torchscript
from mmlgd.models.teachers.weights import cause, find_weights
from mmlgd.run.inputs import teacher_settings
from tests.malicious import Attack


@pytest.fixture
def file(tmp_path):
    """Is never opened."""
    (tmp_path / 'a.pt').touch()
    return str(tmp_path / 'a.pt')


@pytest.fixture
def warned(monkeypatch):
    """What was said."""
    said = []
    monkeypatch.setattr(weights, 'print_log', lambda text, **options: said.append(text))
    return said


@pytest.mark.parametrize('model, tag', list_pretrained())
def test_a_file_with_its_tag_is_read_as_the_tag_is(model, tag, file):
    by_tag, by_file = find_weights(model, tag), find_weights(model, f'{tag}:{file}')
    assert by_file.file == file and by_tag.file is None
    assert by_file._replace(file=None) == by_tag
    known = get_pretrained_cfg(model, tag)
    assert by_tag.pixels == {key: known[key] for key in ('mean', 'std', 'interpolation', 'resize_mode')}
    assert by_tag.quick_gelu == known.get('quick_gelu', False)


@pytest.mark.parametrize(
    'model, mean, interpolation, quick_gelu',
    [
        ('MobileCLIP-S1', (0.0, 0.0, 0.0), 'bilinear', False),
        ('ViT-B-16-SigLIP', (0.5, 0.5, 0.5), 'bicubic', False),
        ('ViT-H-14-CLIPA', (0.485, 0.456, 0.406), 'bilinear', False),
        ('PE-Core-T-16-384', (0.5, 0.5, 0.5), 'bilinear', False),
        ('RN50', open_clip.OPENAI_DATASET_MEAN, 'bicubic', True),
        ('ViT-B-32-quickgelu', open_clip.OPENAI_DATASET_MEAN, 'bicubic', True),
    ],
)
def test_a_file_without_a_tag_has_what_all_tags_agree_on(model, mean, interpolation, quick_gelu, file, warned):
    found = find_weights(model, file)
    assert (found.pixels['mean'], found.pixels['interpolation']) == (mean, interpolation)
    assert found.quick_gelu == quick_gelu
    assert not warned


@pytest.mark.parametrize(
    'model, differing',
    [('ViT-B-32', ['quick_gelu']), ('ViT-L-14', ['mean', 'std', 'quick_gelu']), ('ViT-B-16', ['quick_gelu'])],
)
def test_a_file_without_a_tag_is_warned_of_where_tags_differ(model, differing, file, warned):
    found = find_weights(model, file)
    assert not found.quick_gelu and not {*differing} & {*found.pixels}
    (said,) = warned
    assert f'differ in {" and ".join(differing)}' in said and 'openai' in said
    assert f"pretrained='TAG:{file}'" in said


def test_an_architecture_without_tags_has_no_settings_of_its_own(file, warned):
    assert find_weights('ViT-S-32', file)[3:] == (False, {}) and not warned


@pytest.mark.parametrize(
    'look',
    [
        lambda place: find_weights('RN50', f'openai:{place}'),
        lambda place: find_weights('RN50', place),
        lambda place: teacher_settings(f'RN50:openai:{place}'),
        lambda place: teacher_settings(f'RN50:{place}'),
        lambda place: teacher_settings(f'local-dir:{place}'),
        lambda place: OpenCLIPTeacher(f'local-dir:{place}'),
        lambda place: RADIOTeacher(f'{place}.safetensors', {}),
        lambda place: TIPSTeacher(place),
    ],
)
def test_a_place_that_cannot_be_looked_into_is_named(look):
    """Here the name of a folder is too long; one that this user may not read is such an error of the system, too."""
    with pytest.raises(MMLGDError, match='gone'):
        look(f'/{"gone" * 99}/clip')


def test_a_tag_beside_no_file_is_refused(tmp_path):
    with pytest.raises(TeacherError, match="no file .*nothing.pt.*weights 'openai' of 'RN50'"):
        find_weights('RN50', f'openai:{tmp_path}/nothing.pt')
    with pytest.raises(TeacherError, match='neither a file nor a tag'):
        find_weights('RN50', f'nobody:{tmp_path}')


@pytest.mark.parametrize('model, tag', list_pretrained())
def test_the_addresses_of_weights_that_are_missing_are_said(model, tag, monkeypatch):
    def download(*args, **kwargs):
        raise OSError('no network')

    monkeypatch.setattr(weights, 'found_without_host', lambda *args, **kwargs: None)
    monkeypatch.setattr(weights, 'download_pretrained', download)
    found = find_weights(model, tag)
    with pytest.raises(FileNotFoundError) as error:
        weights.fetch_weights(model, found, None)
    said = str(error.value)
    known = get_pretrained_cfg(model, tag)
    assert 'no network' in said and f"pretrained='{tag}:/path" in said and f'--teacher {model}:{tag}:/path' in said
    assert known['url'] in said and known['hf_hub'].rpartition('/')[0] in said


class Block(nn.Module):
    def __init__(self, mask: Optional[torch.Tensor] = None):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.attn_mask = mask

    def forward(self, x):
        return self.bn(self.conv(x))


class Tree(nn.Module):
    """Has all that OpenAI's archives have: half precision, numbers of a model as buffers, views, lists."""

    sizes: list[int]

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(), Block()).half()
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer('view', torch.arange(12.0).view(3, 4).T)
        self.register_buffer('bf16', torch.ones(2, dtype=torch.bfloat16))
        self.register_buffer('input_resolution', torch.tensor(224))
        self.register_buffer('empty', torch.zeros(0))
        self.sizes = [1, 2]
        self.name = 'a tree'

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x) * self.scale + len(self.sizes)


@pytest.fixture(scope='module')
def archive(tmp_path_factory):
    torch.manual_seed(0)
    tree = Tree().eval()
    path = tmp_path_factory.mktemp('archive') / 'tree.pt'
    torch.jit.script(tree).save(str(path))
    return path, tree.state_dict()


def test_an_archive_is_read_as_data(archive, monkeypatch):
    path, state = archive

    def refuse(*args, **kwargs):
        raise AssertionError('the archive was run')

    monkeypatch.setattr(torch.jit, 'load', refuse)
    assert is_torchscript(path)
    found = read_torchscript(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in state.items())


def test_other_files_are_no_archives(tmp_path, archive):
    torch.save(archive[1], tmp_path / 'state.pt')
    save_file({'a': torch.ones(2)}, tmp_path / 'a.safetensors')
    for file in (tmp_path / 'state.pt', tmp_path / 'a.safetensors', tmp_path / 'nothing', tmp_path):
        assert not is_torchscript(file)


def rewritten(archive, out, **records):
    """Write the archive with other contents of some of its records."""
    with (
        zipfile.ZipFile(archive) as old,
        zipfile.ZipFile(out, 'w', records.pop('compression', zipfile.ZIP_STORED)) as new,
    ):
        for name in old.namelist():
            new.writestr(name, records.get(name.partition('/')[2], old.read(name)))
    return out


def _tree(*parts):
    """A pickle by hand: protocol 2 and these opcodes."""
    return b'\x80\x02' + b''.join(parts) + b'.'


MODULE = b'c__torch__\nTree\n)\x81'
ROOT = {
    'call': lambda marker: pickle.dumps(Attack(marker), 2),
    'attribute': lambda marker: _tree(MODULE, b'}X\x01\x00\x00\x00a', b'cposix\nsystem\n', b'sb'),
    'torch': lambda marker: _tree(b'ctorch\nload\n(X\x01\x00\x00\x00atR'),
    'numpy': lambda marker: _tree(b'cnumpy\nndarray\n(K\x01tR'),
    'getattr': lambda marker: _tree(b'c__builtin__\ngetattr\n(K\x01tR'),
    'a tensor': lambda marker: _tree(b'K\x01'),
    'no attributes': lambda marker: _tree(MODULE, b'K\x01b'),
    'another storage': lambda marker: _tree(MODULE, b'}X\x01\x00\x00\x00a', _tensor(b'X\x04\x00\x00\x00data'), b'sb'),
    'out of bounds': lambda marker: _tree(MODULE, b'}X\x01\x00\x00\x00a', _tensor(offset=b'J\xff\xff\xff\x7f'), b'sb'),
    'too large': lambda marker: _tree(MODULE, b'}X\x01\x00\x00\x00a', _tensor(size=b'J\xff\xff\xff\x7f'), b'sb'),
    'negative': lambda marker: _tree(MODULE, b'}X\x01\x00\x00\x00a', _tensor(offset=b'J\x00\x00\x00\x80'), b'sb'),
    'in a circle': lambda marker: _tree(MODULE, b'q\x00}X\x01\x00\x00\x00ah\x00sX\x01\x00\x00\x00bK\x01' + b'b'),
    'nothing': lambda marker: b'',
}


def _tensor(kind=b'X\x07\x00\x00\x00storage', offset=b'K\x00', size=b'K\x01'):
    storage = b'(' + kind + b'ctorch\nFloatStorage\n' + b'X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ'
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + offset + b'(' + size + b't(K\x01t\x89}tR'


@pytest.mark.parametrize('root', ROOT)
def test_a_malicious_or_broken_archive_is_refused_and_runs_nothing(root, archive, tmp_path):
    marker = tmp_path / 'executed'
    file = rewritten(archive[0], tmp_path / 'bad.pt', **{'data.pkl': ROOT[root](marker)})
    with pytest.raises(CheckpointError, match='cannot be read as data'):
        read_torchscript(file)
    assert not marker.exists()
    assert read_torchscript(archive[0])  # nor is the next one read otherwise


def test_a_bomb_is_not_unpacked(archive, tmp_path):
    with pytest.raises(CheckpointError, match='bytes'):
        read_torchscript(rewritten(archive[0], tmp_path / 'bad.pt', compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match='bytes'):
        read_torchscript(rewritten(archive[0], tmp_path / 'cut.pt', **{'data/0': b'12'}))


@pytest.fixture(scope='module')
def clip_archive(tmp_path_factory):
    """A model of OpenAI's kind in its own form: half precision, a TorchScript archive."""
    torch.manual_seed(0)
    clip = open_clip.create_model('ViT-S-32-alt', force_quick_gelu=True).eval()
    path = tmp_path_factory.mktemp('clip')
    state = {key: value.half() for key, value in clip.state_dict().items()}
    save_file(state, path / 'clip.safetensors')
    clip.half()
    for name in ('input_resolution', 'context_length', 'vocab_size'):
        vars(clip).pop(name, None)
        clip.register_buffer(name, torch.tensor(224))
    tokens, images = torch.zeros(1, 77, dtype=torch.long), torch.zeros(1, 3, 224, 224).half()
    torch.jit.trace_module(clip, dict(encode_text=tokens, encode_image=images), check_trace=False).save(
        str(path / 'clip.pt')
    )
    return path


def test_a_teacher_of_an_archive_is_that_of_its_weights(clip_archive, monkeypatch):
    tag = dict(get_pretrained_cfg('RN50', 'openai'))
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, 'ViT-S-32-alt', dict(openai=tag))
    by_archive, plain = (
        OpenCLIPTeacher('ViT-S-32-alt', f'openai:{clip_archive / name}') for name in ('clip.pt', 'clip.safetensors')
    )
    assert by_archive.identity == plain.identity and '/openai/settings-' in plain.identity
    assert any(isinstance(module, open_clip.transformer.QuickGELU) for module in plain.modules())
    x = torch.rand(1, 3, 224, 224)
    assert torch.equal(by_archive.encode_image(x), plain.encode_image(x))
    tags = dict(openai=tag, other=dict(tag, mean=(0.5,) * 3))
    # The same file as weights of something else: other pixels, so another teacher.
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, 'ViT-S-32-alt', tags)
    other = OpenCLIPTeacher('ViT-S-32-alt', f'other:{clip_archive / "clip.safetensors"}')
    assert other.mean.flatten().tolist() == [0.5] * 3 and not same_teacher(other.identity, plain.identity)
    with pytest.raises(TeacherError, match='of another architecture'):
        OpenCLIPTeacher('ViT-M-32-alt', str(clip_archive / 'clip.pt'))


def test_a_long_cause_ends_with_a_whole_word():
    told = cause(OSError('Please check\nyour connection. ' * 20))
    assert len(told) <= 300 and told.startswith('OSError: Please check your connection.') and told.endswith(' ...')
    assert cause(OSError('no route.')) == 'OSError: no route'
