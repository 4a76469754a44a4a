"""A teacher store of a folder with bad images: what it keeps, and whose embeddings it replays."""

import json
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmlgd.datasets import BadImageError, TooManyBadImagesError
from mmlgd.registry import DATASETS, MODELS
from mmlgd.store import StoredTeacherDataset, StoreError, TeacherStore
from mmlgd.store.writer import use_store, write_store
from tests.bad_images import encode, photo

from .test_writer import RECIPE

IMAGES, VIEWS = 12, 90  # 1080 rows, two shards
BAD = {2: b'', 7: b'no image'.ljust(2000)}


pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture
def folder(tmp_path):
    """12 files, 2 of them bad."""
    folder = tmp_path / 'folder'
    folder.mkdir()
    for k in range(IMAGES):
        (folder / f'{k:02d}.jpg').write_bytes(BAD.get(k, encode(photo(k), 'JPEG').ljust(2000, b'\0')))
    return folder


@pytest.fixture
def cfg(folder, recipe_of, tmp_path):
    """The recipe for one's own images, with a crop of 32 px."""
    (tmp_path / 'mine.py').write_text(
        recipe_of(RECIPE)
        + "train_dataloader['dataset'].update(view='moco-v2-crop', size=32, max_bad_images=3)\n"
        + f"train_dataloader['dataset']['data_root'] = {str(folder)!r}\n"
    )
    cfg = Config.fromfile(tmp_path / 'mine.py')
    cfg.train_dataloader.batch_size = 50  # not a divisor of a shard's rows
    cfg.work_dir = str(tmp_path / 'run')
    return cfg


def check_embeddings(dataset: StoredTeacherDataset, model, rows):
    """Each sample's embedding is what the live teacher says of the very pixels beside it; tell who was loaded."""
    samples = [dataset[row] for row in rows]
    inputs = torch.stack([sample['inputs'] for sample in samples])
    with torch.no_grad():
        expected = model.teacher.encode_image(model.data_preprocessor(dict(inputs=inputs))['inputs'])
    stored = torch.stack([sample['teacher_embeddings'] for sample in samples])
    torch.testing.assert_close(stored.float(), expected, atol=2e-3, rtol=0)
    # Images differ by more than that: another one's embedding would show.
    assert torch.dist(expected[0], expected[1]) > 0.02
    return [int(sample['data_samples'].img_path[-6:-4]) for sample in samples]


@pytest.fixture
def model(cfg):
    return MODELS.build(cfg.model).eval()


def replayed(cfg, store):
    use_store(cfg, store.folder)
    return DATASETS.build(cfg.train_dataloader.dataset)


def rows_of(*views):
    return [view * IMAGES + image for view in views for image in range(IMAGES)]


def test_a_store_leaves_bad_images_out_and_replays_others_with_their_own_embeddings(cfg, model, folder, tmp_path, log):
    cfg.train_dataloader.num_workers = 2
    store = write_store(cfg, tmp_path / 'store', VIEWS, seed=3)
    assert re.findall(r'left out: (\S+): (it is \w+)', log.text) == [
        (str(folder / '02.jpg'), 'it is empty'),
        (str(folder / '07.jpg'), 'it is not'),
    ]
    assert log.text.count('2 of 12 images were bad and left out.') == 1
    for row in range(IMAGES * VIEWS):  # in both shards: no embedding of a bad image, one of every other
        assert store[row].any() == (row % IMAGES not in BAD)
    assert list(TeacherStore(store.folder).bad_images()) == [2, 7]
    loaded = check_embeddings(replayed(cfg, store), model, rows_of(0, 43, VIEWS - 1))
    for row, image in enumerate(loaded):
        assert image not in BAD and (row % IMAGES in BAD or image == row % IMAGES)


def test_images_repaired_or_damaged_since_get_no_foreign_embedding(cfg, model, folder, tmp_path):
    """Files of the same size, so that the survey of sizes cannot see it."""
    store = write_store(cfg, tmp_path / 'store', 3, seed=3)
    dataset = replayed(cfg, store)
    (folder / '07.jpg').write_bytes(encode(photo(7), 'JPEG').ljust(2000, b'\0'))
    (folder / '09.jpg').write_bytes(bytes(2000))
    rows = rows_of(1, 2)
    loaded = check_embeddings(dataset, model, rows)
    assert not {2, 7, 9} & set(loaded)
    told = {}
    for row in rows:
        told.update(dataset[row]['data_samples'].get('bad_images', {}))
    assert 'left out when the teacher store was written (it is not a readable image' in told[str(folder / '07.jpg')]
    assert told[str(folder / '09.jpg')].startswith('it is not a readable image')
    cfg.train_dataloader.dataset.dataset.bad_images = 'raise'
    with pytest.raises(BadImageError, match=r'0[279]\.jpg cannot be used'):
        [DATASETS.build(cfg.train_dataloader.dataset)[row] for row in rows_of(1)]


def first_format(store):
    """Make a store one of the first format, which knows neither files nor what views look like."""
    for file in (store.folder / 'shards').glob('*.files'):
        file.unlink()
        checksum = file.with_suffix('.crc32')
        checksum.write_text(checksum.read_text().split()[0] + '\n')
    told = {**store.description, 'format': 1, 'probes': []}
    (store.folder / 'store.json').write_text(json.dumps(told))


def test_a_changed_image_does_not_get_the_old_embedding(cfg, model, folder, tmp_path):
    """Two files exchanged and one replaced, at equal size and under good names."""
    cfg.train_dataloader.dataset.max_bad_images = 6
    store = write_store(cfg, tmp_path / 'store', 3, seed=3)
    four, five = (folder / f'{k:02d}.jpg' for k in (4, 5))
    contents = four.read_bytes(), five.read_bytes()
    four.write_bytes(contents[1]), five.write_bytes(contents[0])
    (folder / '09.jpg').write_bytes(encode(photo(99), 'JPEG').ljust(2000, b'\0'))
    dataset = replayed(cfg, store)
    rows = rows_of(0, 2)
    assert not {2, 4, 5, 7, 9} & set(check_embeddings(dataset, model, rows))
    told = dataset[4]['data_samples'].bad_images
    assert told[str(four)].startswith('its file has changed since')
    cfg.train_dataloader.dataset.dataset.max_bad_images = 3
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    with pytest.raises(TooManyBadImagesError, match='0[459].jpg: its file has changed'):
        [dataset[row] for row in rows]
    four.write_bytes(contents[0]), five.write_bytes(contents[1])  # as they were: nothing is wrong with them
    assert {4, 5} < set(check_embeddings(DATASETS.build(cfg.train_dataloader.dataset), model, rows_of(1)))


def test_with_the_policy_to_stop_another_content_is_an_error_that_names_the_file(cfg, folder, tmp_path):
    for k in BAD:
        (folder / f'{k:02d}.jpg').write_bytes(encode(photo(k), 'JPEG').ljust(2000, b'\0'))
    cfg.train_dataloader.dataset.bad_images = 'raise'
    store = write_store(cfg, tmp_path / 'store', 1)
    (folder / '05.jpg').write_bytes((folder / '04.jpg').read_bytes())
    dataset = replayed(cfg, store)
    dataset[4]
    with pytest.raises(BadImageError, match=r'05\.jpg cannot be used: its file has changed'):
        dataset[5]


def test_a_store_of_the_first_format_is_read_as_before(cfg, model, folder, tmp_path):
    """It cannot tell that a file is another one, but replays all of them."""
    store = write_store(cfg, tmp_path / 'store', 3, seed=3)
    assert store.file_digest(0)
    first_format(store)
    loaded = check_embeddings(replayed(cfg, TeacherStore(store.folder)), model, rows_of(1))
    assert {4, 5} < set(loaded) and not set(BAD) & set(loaded)
    assert TeacherStore(store.folder).file_digest(0) is None and not TeacherStore(store.folder).missing(verify=True)


def test_a_repaired_image_of_another_size_makes_another_data_set(cfg, folder, tmp_path):
    store = write_store(cfg, tmp_path / 'store', 1)
    (folder / '02.jpg').write_bytes(encode(photo(2), 'JPEG'))
    with pytest.raises(StoreError, match='images.sizes'):
        replayed(cfg, store)


def test_training_from_the_store_reports_and_counts(cfg, tmp_path):
    store = write_store(cfg, tmp_path / 'store', 2)
    cfg.train_dataloader.batch_size = 4
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    use_store(cfg, store.folder)
    Runner.from_cfg(cfg).train()
    (log,) = (file.read_text() for file in (tmp_path / 'run').rglob('*.log'))
    assert log.count('Bad image left out') == 2 and log.count('2 of 12 images were bad and left out.') == 1


def test_the_policy_is_that_of_the_data_set(cfg, folder, tmp_path):
    cfg.train_dataloader.dataset.max_bad_images = 1
    with pytest.raises(TooManyBadImagesError, match='2 of 12 images are bad so far, and at most 1'):
        write_store(cfg, tmp_path / 'few', 2)
    cfg.train_dataloader.dataset.bad_images = 'raise'
    with pytest.raises(BadImageError, match=r'0[27]\.jpg cannot be used'):
        write_store(cfg, tmp_path / 'none', 2)
    cfg.train_dataloader.dataset.update(bad_images='skip', max_bad_images=2)
    store = write_store(cfg, tmp_path / 'store', 2)
    cfg.train_dataloader.dataset.bad_images = 'raise'  # a store that is complete already is no way around it
    with pytest.raises(TooManyBadImagesError, match="at most 0 may be left out .bad_images='raise'"):
        write_store(cfg, tmp_path / 'store', 2)
    assert not store.missing()


def test_a_run_that_was_stopped_goes_on_and_knows_what_was_bad(cfg, tmp_path, log):
    first = write_store(cfg, tmp_path / 'store', VIEWS)
    expected = np.stack([first[row] for row in range(IMAGES * VIEWS)])
    for name in ('00001.npy', '00001.crc32'):
        (tmp_path / 'store/shards' / name).unlink()
    (tmp_path / 'store/shards/00001.bad').write_text(json.dumps({5: 'of a writer that was stopped'}))
    log.clear()
    again = write_store(cfg, tmp_path / 'store', VIEWS)
    assert log.text.count('Bad image left out') == 2
    assert list(again.bad_images()) == [2, 7]
    np.testing.assert_allclose(np.stack([again[row] for row in range(IMAGES * VIEWS)]), expected, atol=1e-3)


def test_an_embedding_of_no_length_is_still_refused(tmp_path):
    """Zero rows are those of bad images alone."""
    store = TeacherStore.create(tmp_path, dict(views=1, images=dict(count=3), teacher=dict(embed_dim=4)))
    rows = np.eye(4)[:3]
    rows[1] = 0
    with pytest.raises(StoreError, match='a length other than 1'):
        store.write(0, rows)
    assert store.missing() == [0]
    store.write(0, np.eye(4)[:3], {1: 'empty'})
    assert not store[1].any() and store[0].any() and store.bad_images() == {1: 'empty'}
    (tmp_path / 'shards/00000.bad').write_text('{"1": "emp')
    with pytest.raises(StoreError, match='00000.bad is damaged.*Remove the file 00000.crc32'):
        store.bad_images()
    store = TeacherStore(tmp_path)
    store.write(0, np.eye(4)[:3])
    assert store.bad_images() == {} and TeacherStore(tmp_path)[1].any()
