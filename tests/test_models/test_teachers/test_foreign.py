"""Settings and weights of somebody else's folder, looked through before any library reads them."""

import json
import pickle

import pytest

from mmlgd.errors import MMLGDError
from mmlgd.models.teachers.base import TeacherError
from mmlgd.models.teachers.foreign import check_weights_file, refuse_code
from mmlgd.models.teachers.sentences import check_encoder
from tests.malicious import Attack


@pytest.mark.parametrize('text', ['5', 'null', 'true', '"auto_map"', '[' * 10**5])
def test_settings_are_a_dict_or_a_list(text, tmp_path):
    (tmp_path / 'tokenizer_config.json').write_text(text)
    with pytest.raises(TeacherError, match='is damaged'):
        refuse_code(tmp_path)


def test_deep_settings_are_looked_through_once(tmp_path, monkeypatch):
    """A reader that goes down and up again for each value takes as many steps as there are levels."""
    nested = 0
    for _ in range(5000):
        nested = [nested]
    monkeypatch.setattr('mmlgd.models.teachers.foreign.read_settings', lambda file: [nested, dict(auto_map=1)])
    (tmp_path / 'config.json').write_text('')
    with pytest.raises(TeacherError, match='auto_map=1 in config.json'):
        refuse_code(tmp_path)


@pytest.mark.parametrize('name', ['config.json', 'weights.safetensors'])
@pytest.mark.parametrize('target', ['nowhere', None])
def test_links_that_lead_nowhere(name, target, tmp_path):
    (tmp_path / name).symlink_to(target or name)
    with pytest.raises(MMLGDError, match='cannot be read: (No such file|Too many levels)'):
        refuse_code(tmp_path)
    with pytest.raises(MMLGDError, match='cannot be read'):
        check_weights_file(tmp_path / name)


DENSE = [dict(type='sentence_transformers.models.Dense', path='1_Dense')]


def write(folder, name, content):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.mark.parametrize('path', ['a' * 5000, 'a\0b', '\ud800', '..', 'a/../../b', '/etc', 5])
def test_parts_are_in_folders_below(path, tmp_path):
    write(tmp_path, 'modules.json', [dict(DENSE[0], path=path)])
    with pytest.raises(TeacherError, match='expected a folder below it'):
        check_encoder(tmp_path)


@pytest.fixture
def bad(tmp_path):
    return pickle.dumps(Attack(tmp_path / 'executed'), 2)


EMPTY = (2).to_bytes(8, 'little') + b'{}'
WEIGHTS = dict(
    decoy=('1_Dense/pytorch_model.bin', '1_Dense/decoy.safetensors', EMPTY),
    index=('evil.bin', 'pytorch_model.bin.index.json', dict(weight_map=dict(a='evil.bin'))),
)


@pytest.mark.parametrize('name', WEIGHTS)
def test_weights_that_a_library_would_unpickle_are_read_first(name, bad, tmp_path):
    """Only `model.safetensors` itself is read in their place."""
    weights, beside, content = WEIGHTS[name]
    write(tmp_path, 'modules.json', DENSE)
    write(tmp_path, weights, bad)
    write(tmp_path, beside, content)
    with pytest.raises(MMLGDError, match='holds more than weights'):
        check_encoder(tmp_path)
    write((tmp_path / weights).parent, 'model.safetensors', EMPTY)
    check_encoder(tmp_path)


@pytest.mark.parametrize('named', ['../evil.safetensors', '/evil.bin', '..', 'a\nb.bin', 5.5])
def test_an_index_names_files_beside_it(named, tmp_path):
    write(tmp_path, 'model.safetensors.index.json', dict(weight_map=dict(a=named)))
    with pytest.raises(MMLGDError, match='expected files beside it|cannot be read: No such file'):
        check_encoder(tmp_path)


def test_another_file_of_weights_is_not_asked_for(tmp_path):
    write(tmp_path, 'config.json', dict(transformers_weights='../evil.safetensors'))
    with pytest.raises(TeacherError, match='transformers_weights'):
        check_encoder(tmp_path)
