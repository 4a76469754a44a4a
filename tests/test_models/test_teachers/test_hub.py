"""A host without an address is told at once, and what its library has in its cache is found."""

import socket

import pytest

from mmlgd.models.teachers import hub
from mmlgd.models.teachers.folders import open_folder
from mmlgd.models.teachers.hub import found_without_host
from mmlgd.models.teachers.sentences import load_sentence_encoder
from mmlgd.models.teachers.weights import fetch_weights, find_weights
from tests.test_models.test_teachers.test_folders import in_cache


@pytest.fixture
def looks(monkeypatch):
    """A machine without a network: the hosts that were looked for."""
    asked = []

    def look(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(-3, 'Temporary failure in name resolution')

    monkeypatch.setattr(socket, 'getaddrinfo', look)
    monkeypatch.setattr(hub, '_PAUSE', 0)
    monkeypatch.setattr(hub, 'getproxies', dict)
    return asked


def test_a_host_without_an_address_is_looked_for_twice(looks):
    with pytest.raises(ConnectionError, match='huggingface.co has no address here: .*Temporary failure'):
        found_without_host('org/name', 'a.json')
    assert looks == ['huggingface.co'] * 2


@pytest.mark.parametrize(
    'ask',
    [
        lambda cache: fetch_weights('RN50', find_weights('RN50', 'openai'), cache),
        lambda cache: open_folder('hf-hub:org/name', cache),
        lambda cache: load_sentence_encoder('org/name'),
    ],
)
def test_the_library_does_not_ask_again_and_again(looks, ask, tmp_path, monkeypatch):
    monkeypatch.setenv('SENTENCE_TRANSFORMERS_HOME', str(tmp_path))
    with pytest.raises(FileNotFoundError, match='huggingface.co has no address here'):
        ask(str(tmp_path))
    assert len(looks) == 2


def test_what_is_in_the_cache_is_found(looks, tmp_path):
    for name in ('open_clip_model.safetensors', 'open_clip_config.json'):
        (tmp_path / 'folder').mkdir(exist_ok=True)
        (tmp_path / 'folder' / name).touch()
    cache = tmp_path / 'cache'
    in_cache(tmp_path / 'folder', cache, 'timm/resnet50_clip.openai')
    file = fetch_weights('RN50', find_weights('RN50', 'openai'), str(cache))
    assert file.endswith('open_clip_model.safetensors')


def test_a_host_with_an_address_or_behind_a_proxy_is_left_to_the_library(looks, monkeypatch, tmp_path):
    assert found_without_host(str(tmp_path), 'a.json') is None and not looks
    monkeypatch.setattr(hub, 'getproxies', lambda: dict(https='http://proxy:3128', no='localhost'))
    assert found_without_host('org/name', 'a.json') is None and not looks
    monkeypatch.setattr(hub, 'getproxies', dict)
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *args: [])
    assert found_without_host('org/name', 'a.json') is None
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(socket, 'getaddrinfo', None)
    assert found_without_host('org/name', 'a.json') is None
