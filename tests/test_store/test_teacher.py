"""A teacher behind a store: what is in there is read, what is not is asked of the live one, and nobody else is."""

import copy
import json
import shutil

import pytest
import torch
from mmengine.config import Config

from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import ConfigError
from mmlgd.models import lgd
from mmlgd.models.teachers.settings import build_teacher
from mmlgd.registry import MODELS
from mmlgd.store import CachedTeacher, StoreError
from mmlgd.store.writer import use_store, write_store
from mmlgd.student.live_teacher import live_teacher

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')
PROMPTS = ['a zebra', 'a lake']


@pytest.fixture(scope='module')
def store(recipe, tmp_path_factory):
    return write_store(Config.fromfile(recipe), tmp_path_factory.mktemp('store') / 'store', views=1).folder


@pytest.fixture
def cfg(recipe, store):
    cfg = Config.fromfile(recipe)
    use_store(cfg, store)
    return cfg


@pytest.fixture(scope='module')
def live(tiny_clip):
    return MODELS.build(dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip))


@pytest.fixture
def renamed(store, tmp_path):
    """The store, telling of another teacher."""

    def rename(**changes):
        folder = shutil.copytree(store, tmp_path / 'renamed', ignore=shutil.ignore_patterns('shards', 'text'))
        told = json.loads((folder / 'store.json').read_text())
        told['teacher'].update(changes)
        (folder / 'store.json').write_text(json.dumps(told))
        return folder

    return rename


def test_embeddings_in_the_store_need_no_live_teacher(cfg):
    model = MODELS.build(cfg.model)
    assert model.teacher.live is None and not list(model.teacher.parameters())
    assert model.class_names == ['cat', 'dog', 'tree']


def test_a_temperature_unlike_its_own_is_told_without_the_live_teacher(cfg, store, live, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(lgd, 'print_log', lambda text, *args, **more: told.append(text))
    model = MODELS.build(copy.deepcopy(cfg.model))
    assert model.teacher.live is None and model.teacher.own_temperature == live.own_temperature
    assert 'was trained with the temperature 0.07' in ' '.join(told)
    told.clear()
    cfg.model.loss = dict(type='mmlgd.LGDLoss', teacher_temperature=live.own_temperature)
    MODELS.build(copy.deepcopy(cfg.model))
    assert not any('temperature' in one for one in told)
    folder = shutil.copytree(store, tmp_path / 'store')
    description = json.loads((store / 'store.json').read_text())
    for wrong in (0, -1, '0.07', True, [0.07]):
        (folder / 'store.json').write_text(json.dumps(dict(description, own_temperature=wrong)))
        with pytest.raises(StoreError, match='own_temperature is .*expected null or a number > 0'):
            CachedTeacher(folder)
    description.pop('own_temperature')  # as in a store of before
    (folder / 'store.json').write_text(json.dumps(description))
    assert CachedTeacher(folder).own_temperature is None


def test_missing_names_and_images_come_from_the_live_teacher(cfg, store, live):
    cfg.model.text.vocabulary = ['zebra', 'lake']
    files = sorted(store.rglob('*'))
    model = MODELS.build(cfg.model).train()
    assert model.teacher.live is None  # dropped after the names
    expected = MODELS.build(dict(cfg.model, teacher=cfg.model.teacher.teacher)).train()
    assert torch.equal(model.textual_bank.bank, expected.textual_bank.bank)
    expected.load_state_dict(model.state_dict())
    images = torch.randn(4, 3, 48, 48)  # normalised for the student, of another size than the teacher's
    losses, others = model(images, mode='loss'), expected(images, mode='loss')
    for name, value in others.items():
        torch.testing.assert_close(losses[name], value)
    assert model.teacher.live.text_tower is None
    assert sorted(store.rglob('*')) == files  # a store is read, not written


def test_places_are_asked_of_the_live_one(store, live, tiny_clip):
    cached = CachedTeacher(store, dict(model=tiny_clip))
    images = torch.rand(2, 3, 48, 48) * 255
    found, expected = cached.encode(images, places=True), live.encode(images, places=True)
    assert cached.has_places and torch.equal(found.places, expected.places)
    assert torch.equal(found.image, expected.image) and torch.equal(cached.encode_places(images), found.places)
    cached = CachedTeacher(store)
    with pytest.raises(CheckpointError, match='has a teacher with model='):  # nobody but the store names it
        cached.encode_places(images)


def test_a_model_that_will_ask_it_builds_it_at_once(cfg, store):
    cfg.model.predict_teacher = True
    model = MODELS.build(cfg.model)
    assert model.teacher.live is not None
    model.to('meta')
    assert all(p.device.type == 'meta' for p in model.teacher.parameters())
    cfg.model.teacher = dict(type='mmlgd.CachedTeacher', store=str(store))
    with pytest.raises(CheckpointError, match='has a teacher with model='):
        MODELS.build(cfg.model)


def test_configs_and_checkpoints_of_before_have_another_name(store, live, tiny_clip):
    old = MODELS.build(dict(type='mmlgd.StoredTeacher', store=str(store)))
    assert isinstance(old, CachedTeacher) and old.identity == live.identity
    with pytest.raises(CheckpointError, match='has a teacher with model='):  # as whoever wrote the store has chosen
        old.encode_text(PROMPTS)
    named = CachedTeacher(store, dict(model=tiny_clip))
    # Two towers of equal weights lie elsewhere in memory, where a CPU may add in another order.
    torch.testing.assert_close(named.encode_text(PROMPTS), live.encode_text(PROMPTS), rtol=0, atol=1e-6)


def test_temperatures_that_a_config_of_before_has_scaled_stay(renamed):
    earlier = dict(type='mmlgd.ConSETeacher', visual_share=0.91)
    pair = dict(type='mmlgd.TeacherPair', words=dict(type='mmlgd.ConSETeacher'), looks='logits', looks_share=0.91)
    store = renamed(config=pair)
    for teacher, expected in ((earlier, 1.0), (pair, 0.3)):
        cached = build_teacher(dict(type='mmlgd.CachedTeacher', store=str(store), teacher=teacher), 'model.teacher')
        assert cached.names_scale == pytest.approx(expected)


@pytest.mark.parametrize('kept', [0.91, 0.0])
def test_another_share_of_looks_than_that_of_the_store_is_refused(kept, renamed):
    """Temperatures over names follow the share, and a run that reads all from its store builds no live teacher."""
    pair = dict(type='mmlgd.TeacherPair', words=dict(type='mmlgd.ConSETeacher'), looks='logits')
    store = renamed(config=dict(pair, looks_share=kept))
    assert CachedTeacher(store, dict(looks_share=kept)).names_scale == pytest.approx(0.3 if kept else 1.0)
    for teacher in (dict(looks_share=0.5), dict(pair, looks_share=0.5), pair):  # the last has the default
        with pytest.raises(StoreError, match=f'looks_share={kept:g}, and the teacher of this config has 0.[59]'):
            CachedTeacher(store, teacher)


@pytest.mark.parametrize('named', [{'looks.weights': 'mine.pth'}, dict(looks=dict(weights='mine.pth'))])
def test_a_half_of_the_pair_in_the_store_may_have_moved(named, renamed):
    """The share of looks is read before the teacher is built: what a caller changes of a half is a part of it."""
    looks = dict(backbone='timm:resnet18', weights='/gone/resnet18.pth', statistics='AAAA')
    words = dict(type='mmlgd.ConSETeacher')
    store = renamed(config=dict(type='mmlgd.TeacherPair', words=words, looks=looks, looks_share=0.91))
    trained = dict(model=dict(teacher=dict(type='mmlgd.CachedTeacher', store='/gone/store')))
    settings = live_teacher(trained, dict(named, store=str(store)))  # as `--teacher-options` gives it
    assert build_teacher(settings, 'model.teacher').names_scale == pytest.approx(0.3)
    assert CachedTeacher(store, named).names_scale == pytest.approx(0.3)


def test_another_teacher_than_that_of_the_store_is_refused(renamed, tiny_clip):
    teacher = CachedTeacher(renamed(id='open_clip/x/settings-89abcdef/862b8088f3200a8b'), dict(model=tiny_clip))
    with pytest.raises(ConfigError, match=r"store in '.*renamed' was written by the teacher 'open_clip/x"):
        teacher.encode_image(torch.rand(1, 3, 64, 64))


def test_a_store_as_the_live_teacher_is_refused(renamed, store):
    teacher = CachedTeacher(renamed(config=dict(type='mmlgd.CachedTeacher', store=str(store))))
    with pytest.raises(StoreError, match='names a store as its teacher'):
        teacher.encode_text(PROMPTS)
