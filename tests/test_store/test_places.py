"""A teacher store with places: what is kept comes back, survives kills, and gives the losses of the live teacher."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.models.places import to_grid
from mmlgd.models.teachers.base import TeacherError
from mmlgd.registry import DATASETS, MODELS
from mmlgd.store import SeededViews, StoredTeacherDataset, StoreError, TeacherStore
from mmlgd.store.asked_places import check_places, kept_places
from mmlgd.store.writer import use_store, write_store
from tests import ROOT, children

from .test_layout import unit
from .test_writer import batch_of

VIEWS = 3  # of 12 images
NAMES = dict(bank='text', on='places', weight=0.75, student_temperature=0.05, teacher_temperature=0.0125, places=17)
LATEST = dict(bank='place_queue', on='places', self_logit=True, places=17)
OTHERS = [dict(type='mmlgd.RegressionTerm', on='places', places=9), dict(type='mmlgd.SimilarityTerm')]
DENSE = dict(
    place_queue=dict(size=23),
    loss=dict(_delete_=True, type='mmlgd.DistillationLoss', terms=[dict(bank='text'), NAMES, LATEST, *OTHERS]),
)

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    path = tmp_path_factory.mktemp('recipe') / 'mine.py'
    path.write_text(
        recipe_of(ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py')
        + "model['data_preprocessor'] = dict(augmentation=dict(type='mmlgd.MoCoV2Augmentation'))\n"
        + "train_dataloader['dataset'].update(view='moco-v2-crop')\n"
        + f'model.update({DENSE!r})\n'
    )
    return path


@pytest.fixture
def cfg(recipe):
    return Config.fromfile(recipe)


@pytest.fixture(scope='module')
def stores(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp('stores')
    return {grid: write_store(Config.fromfile(recipe), folder / grid, VIEWS, places=grid) for grid in ('own', '3x1')}


@pytest.fixture
def by_name(cfg):
    """The config without terms that need more of the teacher's places than their names."""
    del cfg.model['place_queue']
    cfg.model.loss.terms = [dict(bank='text'), NAMES]
    return cfg


def create(folder, images=700, grid=(2, 3), d=4, form='embeddings'):
    described = dict(views=2, images=dict(count=images), teacher=dict(embed_dim=d))
    names = dict(names=dict(count=9, digest='0', temperature=0.1)) if form == 'names' else {}
    return TeacherStore.create(folder, dict(described, places=dict(grid=list(grid), form=form, **names)))


def places_of(n, grid=(2, 3), d=4, seed=0):
    return unit(n * grid[0] * grid[1], d, seed + 7).reshape(n, *grid, d).astype(np.float16)


def write_all(folder, fault=None, *details):
    store = TeacherStore(folder)
    for shard in store.missing():
        if shard == 1 and fault:
            fault(*details)
        n = len(store.rows_of(shard))
        store.write(shard, unit(n, seed=shard), places=places_of(n, seed=shard))


def test_places_come_back_in_half_precision(tmp_path):
    assert create(tmp_path).description['format'] == 3
    write_all(tmp_path)
    store = TeacherStore(tmp_path)
    store.require_complete()
    expected = np.concatenate([places_of(len(store.rows_of(k)), seed=k) for k in range(2)])
    assert all(np.array_equal(store.places_of(row), expected[row]) for row in (0, 1023, 1024, 1399))
    assert store.missing(verify=True) == [] and store.places.grid == (2, 3)


def names_of(n, grid=(2, 3), seed=0):
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, *grid, 8), [('name', '<u2'), ('probability', '<f2')])
    rows['name'], rows['probability'] = rng.integers(0, 9, rows.shape), rng.dirichlet(np.ones(8), rows.shape[:-1])
    return rows


def test_names_come_back_with_their_probabilities(tmp_path):
    store, expected = create(tmp_path, form='names'), names_of(1024)
    store.write(0, unit(1024), places=expected)
    read = TeacherStore(tmp_path)
    assert all(np.array_equal(read.places_of(row), expected[row]) for row in (0, 500, 1023))
    assert 0 < (tmp_path / 'shards/00000.places').stat().st_size - 1024 * 6 * 32 < 300  # 32 bytes for each place
    loaded = read.places.tensor_of(expected[:3])
    assert loaded.shape == (3, 2, 3, 8, 2) and np.array_equal(loaded[..., 0].numpy(), expected[:3]['name'])
    expected['name'][7, 1, 1, 3] = 9
    with pytest.raises(StoreError, match='for 1 views of shard 0, first for image 7, view 0'):
        store.write(0, unit(1024), places=expected)
    for damaged in (names_of(1024, (3, 2)), places_of(1024)):
        with (tmp_path / 'shards/00000.places').open('wb') as file:
            np.save(file, damaged)
        with pytest.raises(StoreError, match='(?s)Shard 0 .* has rows .* instead of'):
            TeacherStore(tmp_path).places_of(0)


@children.in_one_worker
@pytest.mark.parametrize('file', ['00001.places*', '00001.crc32*'])
def test_a_writer_that_is_killed_in_a_shard_goes_on_with_it(tmp_path, file):
    create(tmp_path / 'store')
    code, log = children.run(write_all, tmp_path / 'store', children.die_in_write, file, log=tmp_path / 'log')
    assert code == -9, log
    store = TeacherStore(tmp_path / 'store')
    with pytest.raises(StoreError, match='not finished: 1 of 2 shards'):
        store.require_complete()
    assert store.missing(verify=True) == [1]
    write_all(tmp_path / 'store')
    assert store.missing(verify=True) == [] and not list(store.folder.rglob('*.part'))


@pytest.mark.parametrize('damage', ['truncate', 'flip', 'remove', 'pickle', 'other grid'])
def test_damage_of_places_is_found_when_the_shard_is_first_read(tmp_path, damage):
    create(tmp_path)
    write_all(tmp_path)
    file = tmp_path / 'shards/00001.places'
    content = file.read_bytes()
    if damage == 'truncate':
        file.write_bytes(content[:-100])
    elif damage == 'flip':
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == 'remove':
        file.unlink()
    else:
        other = np.array([dict(a=1)], dtype=object) if damage == 'pickle' else places_of(376, (3, 2))
        with file.open('wb') as handle:
            np.save(handle, other, allow_pickle=True)
    store = TeacherStore(tmp_path)
    store.places_of(0)
    with pytest.raises(StoreError, match='(?s)Shard 1 .*--verify'):
        store.places_of(1024)
    assert store.missing(verify=True) == [1]
    store.write(1, unit(376, seed=1), places=places_of(376, seed=1))
    assert store.missing(verify=True) == []


@pytest.mark.parametrize('value', [0.0, np.nan])
def test_an_unusable_place_is_named_and_not_stored(tmp_path, value):
    store, places = create(tmp_path, images=10), places_of(20)
    places[13, 1, 2] = value
    with pytest.raises(StoreError, match='length other than 1 for 1 views of shard 0, first for image 3, view 1'):
        store.write(0, unit(20), places=places)
    with pytest.raises(StoreError, match=r'places of shape \(20, 2, 3, 4\), got \(20, 3, 2, 4\)'):
        store.write(0, unit(20), places=places_of(20, (3, 2)))
    with pytest.raises(StoreError, match='places of shape .*, got None'):
        store.write(0, unit(20))
    assert store.missing() == [0]


UNREADABLE = [
    dict(grid=[0, 2], form='embeddings'),
    dict(grid=[2, 2], form='x'),
    dict(grid=[2, 2], form='names'),
    dict(grid=[2, 2], form='names', names=dict(count=9, digest='0', temperature='hot')),
    [2, 2],
    {},
]


@pytest.mark.parametrize('places', UNREADABLE)
def test_a_damaged_description_is_refused(tmp_path, places):
    create(tmp_path)
    file = tmp_path / 'store.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'places': places}))
    with pytest.raises(StoreError, match='places is .*, expected null, or a grid'):
        TeacherStore(tmp_path)


@pytest.mark.parametrize('form', ['embeddings', 'names'])
@pytest.mark.parametrize('grid', ['own', '3x1'])
def test_stored_training_has_the_loss_of_live_training_on_the_same_views(
    request, cfg, stores, grid, form, monkeypatch, tmp_path
):
    """Steps of both, banks included, on replayed views; stored numbers differ by half precision's rounding."""
    store = stores[grid]
    if form == 'names':
        request.getfixturevalue('by_name')
        store = write_store(cfg, tmp_path, VIEWS, places=grid, places_form=form)
        assert store.places.form == 'names' and store.places.shape[-1] == 3  # three names, and all of them are kept
    assert store.places.grid == {'own': (2, 2), '3x1': (3, 1)}[grid]
    live = MODELS.build(cfg.model).train()
    encode = live.teacher.encode

    def on_the_grid(images, places=False):
        found = encode(images, places)
        return found._replace(places=to_grid(found.places, store.places.grid))

    monkeypatch.setattr(live.teacher, 'encode', on_the_grid)
    views = SeededViews(cfg.train_dataloader.dataset, VIEWS, noise=live.data_preprocessor.augmentation.num_noise)
    use_store(cfg, store.folder)
    stored = MODELS.build(cfg.model).train()
    assert stored.teacher.live is None  # that the store keeps places says that the teacher has some
    stored.load_state_dict(live.state_dict())
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for step, rows in enumerate(([0, 13, 5, 30], [7, 35, 23, 24])):
        inputs = live.data_preprocessor(batch_of(views, rows), training=True)
        replayed = stored.data_preprocessor(batch_of(dataset, rows), training=True)
        assert torch.equal(inputs['inputs'], replayed['inputs'])
        torch.manual_seed(step)  # of the draw
        expected = live(**inputs, mode='loss')
        torch.manual_seed(step)
        losses = stored(**replayed, mode='loss')
        assert set(expected) == set(losses) and 'loss_place_textual' in losses
        for key in expected:
            torch.testing.assert_close(losses[key], expected[key], rtol=3e-3, atol=3e-3)
    if form == 'embeddings':
        torch.testing.assert_close(stored.place_queue.bank, live.place_queue.bank, rtol=0, atol=2e-3)
    assert stored.teacher.live is None


def test_training_from_a_store_asks_no_teacher(cfg, stores, tmp_path):
    cfg.work_dir, cfg.train_cfg.max_epochs = str(tmp_path), 1
    use_store(cfg, stores['own'].folder)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 3 and runner.model.teacher.live is None


def test_a_replay_is_exact_and_places_are_given_only_to_those_who_ask(cfg, stores):
    folder, dataset = stores['own'].folder, cfg.train_dataloader.dataset
    augmentation = cfg.model.data_preprocessor.augmentation
    given = StoredTeacherDataset(folder, dataset, augmentation, places=True)
    first, again = given[14], given[14]
    assert first['teacher_places'].shape == (2, 2, 32) and first['teacher_places'].dtype == torch.float16
    assert all(torch.equal(first[name], again[name]) for name in ('inputs', 'teacher_embeddings', 'teacher_places'))
    assert 'teacher_places' not in StoredTeacherDataset(folder, dataset, augmentation)[14]
    cfg.model.loss = dict(type='mmlgd.LGDLoss')
    use_store(cfg, folder)
    assert 'places' not in cfg.train_dataloader.dataset


def test_a_stopped_run_goes_on_with_the_same_grid(cfg, stores, tmp_path):
    write_store(cfg, tmp_path, VIEWS, places='own')
    (tmp_path / 'shards/00000.crc32').unlink()
    with pytest.raises(StoreError, match=r'store.places.grid\[0\] is 2 in the store and 3 here'):
        write_store(cfg, tmp_path, VIEWS, places='3x2')
    with pytest.raises(StoreError, match='store.places is .* in the store and None here'):
        write_store(cfg, tmp_path, VIEWS)
    resumed = write_store(cfg, tmp_path, VIEWS, places='2x2')
    assert all(np.array_equal(resumed.places_of(row), stores['own'].places_of(row)) for row in range(36))


def test_a_store_without_places_is_refused_with_the_command_that_writes_them(cfg, tmp_path):
    plain = write_store(cfg, tmp_path, 1)
    assert plain.places is None and plain.description['format'] == 2
    with pytest.raises(StoreError, match='loss_place_textual, .* compare places, .* --views 1 --places own --out'):
        mmlgd.train(cfg, store=tmp_path, work_dir=tmp_path / 'run')
    with pytest.raises(StoreError, match='has no places. Write one'):
        StoredTeacherDataset(tmp_path, cfg.train_dataloader.dataset, places=True)


def test_names_are_refused_where_they_are_not_enough_or_others(cfg, by_name, recipe, tmp_path, monkeypatch):
    store, dense = tmp_path / 'store', Config.fromfile(recipe)
    said = 'Embeddings of places are needed for loss_place_queue, .*--places-form embeddings, .*: --cfg-options (.*)'
    with monkeypatch.context() as patched, pytest.raises(ConfigError, match=said) as refused:
        patched.setattr('mmlgd.store.writer._write_store', None)  # before the teacher is built
        write_store(dense, store, 1, places='own', places_form='names')
    assert not store.exists()
    write_store(by_name, store, 1, places='own', places_form='names')
    use_store(by_name, store)
    assert MODELS.build(by_name.model).teacher.live is None
    with pytest.raises(ConfigError, match=said):
        use_store(dense, store)
    advice = re.search(said, str(refused.value))[1].split()  # what it says helps
    dense.merge_from_dict({key: float(value) for key, value in (option.split('=') for option in advice)})
    use_store(dense, store)
    assert dense.train_dataloader.dataset.type == 'mmlgd.StoredTeacherDataset'
    assert MODELS.build(dense.model).teacher.live is None
    by_name.model.loss.terms[1].teacher_temperature = 0.02
    with pytest.raises(ConfigError, match='at the teacher_temperature 0.0125, and this run has 0.02'):
        MODELS.build(by_name.model)
    by_name.model.loss.terms[1].teacher_temperature = 0.0125
    by_name.model.text.vocabulary = ['cat', 'tree', 'dog']
    with pytest.raises(ConfigError, match='of 3 class names, and this run has 3 others, or other templates'):
        MODELS.build(by_name.model)


def test_training_from_names(by_name, tmp_path):
    mmlgd.store_teacher(by_name, out=tmp_path / 'store', views=1, places='2x1', places_form='names')
    by_name.train_cfg.max_epochs = 1
    result = mmlgd.train(by_name, store=tmp_path / 'store', work_dir=tmp_path / 'run')
    assert result.checkpoint.is_file()


def test_a_form_needs_a_grid(cfg, tmp_path):
    with pytest.raises(ConfigError, match='--places-form names needs a grid: add --places 7x7'):
        mmlgd.store_teacher(cfg, out=tmp_path / 'store', views=1, places_form='names')
    with pytest.raises(ConfigError, match="expected embeddings or names, got 'pixels'"):
        write_store(cfg, tmp_path / 'store', 1, places='2x2', places_form='pixels')
    assert not (tmp_path / 'store').exists()


@pytest.mark.parametrize('grid', ['7', '7x', '0x7', '7x2000', '7 x 7', '-1x2', ''])
def test_what_is_no_grid_is_refused(cfg, grid, tmp_path):
    with pytest.raises(ConfigError, match='expected rows x columns such as 7x7'):
        check_places(grid, None)
    with pytest.raises(ConfigError, match='expected rows x columns such as 7x7'):
        mmlgd.store_teacher(cfg, out=tmp_path / 'store', views=1, places=grid)
    assert not (tmp_path / 'store').exists()


def test_a_teacher_without_places_is_refused_by_name(cfg, monkeypatch):
    monkeypatch.setattr('mmlgd.models.teachers.openclip.open_clip_places', lambda *_, **__: None)
    with pytest.raises(TeacherError, match=r'The image tower of .* has no places'):
        kept_places('2x2', None, SimpleNamespace(teacher=MODELS.build(cfg.model.teacher)))


def test_places_of_a_bad_image_are_zero(tmp_path):
    store = create(tmp_path, images=10)
    store.write(0, unit(20), {3: 'truncated', 13: 'truncated'}, places=places_of(20))
    read = TeacherStore(tmp_path)
    assert not read.places_of(3).any() and not read.places_of(13).any() and read.places_of(4).any()


def test_the_result_counts_the_bytes_of_places(cfg, tmp_path):
    result = mmlgd.store_teacher(cfg, out=tmp_path / 'store', views=1, places='3x1')
    assert 12 * 32 * 2 * (1 + 3) <= result.size < 12 * 32 * 2 * (1 + 3) + 400
