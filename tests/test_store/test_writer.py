import copy
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from safetensors.torch import load_file, save_file

import mmlgd
from mmlgd.datasets import loading
from mmlgd.datasets.loading import decode
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.evaluation import load_frozen, load_teacher
from mmlgd.models import augmentation
from mmlgd.registry import DATASETS, MODELS
from mmlgd.store import SeededViews, StoreError, TeacherStore, layout
from mmlgd.store.writer import use_store, write_store
from tests import ROOT
from tests.devices import on_each_device

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
VIEWS, SHARD_ROWS = 20, 100  # of 12 images: 240 rows, three shards


pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    """The recipe for one's own images, with a batched augmentation, a crop of 32 px and no workers."""
    path = tmp_path_factory.mktemp('recipe') / 'mine.py'
    path.write_text(
        recipe_of(RECIPE)
        + "model['data_preprocessor'] = dict(augmentation=dict(type='mmlgd.MoCoV2Augmentation'))\n"
        + "train_dataloader['dataset'].update(view='moco-v2-crop', size=32)\n"
    )
    return path


@pytest.fixture(scope='module', autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, '_FEWEST_ROWS', SHARD_ROWS)
        yield


@pytest.fixture
def cfg(recipe):
    return Config.fromfile(recipe)


@pytest.fixture(scope='module')
def store(recipe, tmp_path_factory, small_shards):
    return write_store(Config.fromfile(recipe), tmp_path_factory.mktemp('store'), VIEWS, seed=3)


def batch_of(dataset, rows):
    return torch.utils.data.default_collate(
        [{k: v for k, v in dataset[row].items() if k != 'data_samples'} for row in rows]
    )


QUEUE = dict(type='mmlgd.QueueBank', size=5)
MORE = {
    'lgd': {},
    'seed': dict(queue=QUEUE, loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='queue', self_logit=True)])),
    'lgd with a queue': dict(queue=QUEUE),
    'cosine': dict(loss=dict(type='mmlgd.CosineLoss')),
}


@on_each_device
@pytest.mark.parametrize('more', MORE.values(), ids=MORE)
def test_stored_training_has_the_loss_of_live_training_on_the_same_views(cfg, store, more, device):
    """Steps of both, banks included, on replayed views; a stored embedding differs by half precision's rounding.

    A card has written the store in bf16.
    """
    slack = 1 if device == 'cpu' else 20
    for key, value in more.items():
        cfg.model[key] = value
    live = MODELS.build(cfg.model).to(device).train()
    views = SeededViews(
        cfg.train_dataloader.dataset, VIEWS, seed=3, noise=live.data_preprocessor.augmentation.num_noise
    )
    use_store(cfg, store.folder)
    stored = MODELS.build(cfg.model).to(device).train()
    stored.load_state_dict(live.state_dict())
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for rows in ([0, 13, 50, 103], [7, 239, 99, 100]):
        inputs = live.data_preprocessor(batch_of(views, rows), training=True)
        replayed = stored.data_preprocessor(batch_of(dataset, rows), training=True)
        assert torch.equal(inputs['inputs'], replayed['inputs'])
        expected, losses = live(**inputs, mode='loss'), stored(**replayed, mode='loss')
        for key in expected:
            torch.testing.assert_close(losses[key], expected[key], rtol=slack * 2e-3, atol=slack * 2e-3)
    for name, buffer in live.named_buffers():
        if name.startswith(('visual_bank', 'queue')):
            torch.testing.assert_close(stored.get_buffer(name), buffer, rtol=0, atol=slack * 2e-3)
    assert torch.equal(stored.textual_bank.bank, live.textual_bank.bank)
    assert stored.teacher.identity == live.teacher.identity


@on_each_device
def test_training_from_a_store_asks_no_teacher(cfg, store, tmp_path, device):
    cfg.work_dir, cfg.train_cfg.max_epochs = str(tmp_path), 1
    cfg.val_evaluator.append(dict(type='mmlgd.DistillationMetric'))
    use_store(cfg, store.folder)
    runner = Runner.from_cfg(cfg)
    assert not list(runner.model.teacher.parameters())
    runner.train()
    assert runner.iter == 3  # one view of each of 12 images, in batches of 4
    metrics = runner.val()
    assert {'accuracy/top1', 'distillation/effective_classes', 'distillation/leave_one_out_knn'} <= set(metrics)
    assert not any('teacher' in key or 'agreement' in key for key in metrics)


@pytest.mark.parametrize('best', ['distillation/agreement', ['accuracy/top1', 'teacher_accuracy/top1']])
def test_the_best_checkpoint_cannot_be_that_of_a_teacher_who_is_not_there(cfg, store, best):
    cfg.merge_from_dict({'default_hooks.checkpoint': dict(type='CheckpointHook', save_best=best)})
    with pytest.raises(ConfigError, match='save_best is .*, but with a teacher store no teacher sees'):
        use_store(cfg, store.folder)


def test_without_a_metric_that_works_without_teacher_nothing_is_evaluated(cfg, store):
    cfg.val_evaluator = [dict(type='mmpretrain.MultiTasksMetric', task_metrics=dict(teacher=[]))]
    use_store(cfg, store.folder)
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.test_dataloader is not None


def test_each_epoch_has_the_next_view_of_every_image(cfg, store):
    use_store(cfg, store.folder)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    seen = []
    for epoch in (0, 1, VIEWS):
        loader.sampler.set_epoch(epoch)
        seen.append(list(loader.sampler))
    first, second, again = seen
    assert sorted(first) == list(range(12)) and sorted(second) == list(range(12, 24))
    assert first != sorted(first) and sorted(again) == list(range(12))


def test_the_order_of_images_is_that_of_the_config(cfg, store):
    cfg.train_dataloader.sampler.shuffle = False
    use_store(cfg, store.folder)
    assert list(Runner.build_dataloader(cfg.train_dataloader, seed=0).sampler) == list(range(12))


def test_a_sampler_that_chooses_images_is_refused(cfg, store):
    cfg.train_dataloader.sampler = dict(type='RepeatAugSampler')
    with pytest.raises(ConfigError, match='RepeatAugSampler, which chooses images itself'):
        use_store(cfg, store.folder)


def test_a_stopped_run_goes_on_with_what_is_missing(cfg, store, tmp_path):
    shutil.copytree(store.folder, tmp_path, dirs_exist_ok=True)
    shards = tmp_path / 'shards'
    (shards / '00001.crc32').unlink()  # stopped in the middle of shard 1 ...
    (shards / '00002.npy').rename(shards / '00002.npy.part')  # ... and of shard 2
    (shards / '00002.crc32').unlink()
    first = (shards / '00000.npy').stat().st_mtime_ns
    resumed = write_store(cfg, tmp_path, VIEWS, seed=3)
    assert (shards / '00000.npy').stat().st_mtime_ns == first
    assert all(np.array_equal(resumed[row], store[row]) for row in range(0, 240, 10))


def test_verify_writes_damaged_shards_anew(cfg, store, tmp_path):
    shutil.copytree(store.folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / 'shards/00001.npy'
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(StoreError, match='--verify'):
        TeacherStore(tmp_path)[SHARD_ROWS]
    mended = write_store(cfg, tmp_path, VIEWS, seed=3, verify=True)
    assert np.array_equal(mended[2 * SHARD_ROWS - 1], store[2 * SHARD_ROWS - 1])


def change_pipeline(cfg):
    cfg.train_dataloader.dataset.crop = (0.5, 1.0)


def change_augmentation(cfg):
    cfg.model.data_preprocessor.augmentation.hue = 0.2


def change_teacher(cfg):
    cfg.model.teacher.model = 'local-dir:/another'


def change_weights(cfg):
    cfg.model.teacher.pretrained = 'another.pt'


def change_images(cfg):
    cfg.train_dataloader.dataset.indices = 6


@pytest.mark.parametrize(
    'change, message',
    [
        (change_pipeline, r'dataset.pipeline\[1\].crop_ratio_range\[0\] is 0.2 in the store and 0.5 here'),
        (change_augmentation, 'model.augmentation.hue is None in the store and 0.2 here'),
        (change_teacher, 'model.teacher.model is .* in the store and .*another'),
        (change_weights, "model.teacher.pretrained is None in the store and 'another.pt' here"),
        (change_images, 'dataset.images.count is 12 in the store and 6 here'),
    ],
)
def test_a_store_of_something_else_is_refused_by_the_difference(cfg, store, change, message):
    change(cfg)
    with pytest.raises(StoreError, match=message):
        use_store(cfg, store.folder)
        DATASETS.build(cfg.train_dataloader.dataset)


@pytest.fixture
def described(store, tmp_path):
    """The store with another description."""

    def describe(**changes):
        copied = {**TeacherStore(store.folder).description, **changes}
        shutil.copytree(store.folder / 'shards', tmp_path / 'shards', dirs_exist_ok=True)
        (tmp_path / 'store.json').write_text(json.dumps(copied))
        return tmp_path

    return describe


def test_a_store_whose_views_have_other_pixels_here_is_refused(cfg, store, described):
    """As with another version of the library that decodes or resizes; a store of the first format."""
    libraries = dict(store.description['libraries'], pillow='1.1.7', kornia='0.0.1')
    folder = described(format=1, probes=[dict(row=0, pixels='0' * 16)], libraries=libraries)
    use_store(cfg, folder)
    message = r"other pixels than stored ones \(.*library.pillow is '1.1.7' in the store.*image 0 \(.*png\), view 0"
    with pytest.raises(StoreError, match=message) as error:
        DATASETS.build(cfg.train_dataloader.dataset)
    assert "library.kornia is '0.0.1' in the store" in str(error.value)


def without_colours(self, views, u):
    """The colour jitter of a library that has changed."""


def without_blur(views, chosen, operation, *values, change=augmentation._change):
    if operation is not augmentation._blur:
        change(views, chosen, operation, *values)


@pytest.mark.parametrize(
    'owner, name, changed',
    [
        (augmentation.MoCoV2Augmentation, '_jitter', without_colours),
        (augmentation, '_change', without_blur),
        (loading, 'decode', lambda content, *_: decode(content)[:, :, ::-1].copy()),
    ],
    ids=['colours', 'blur', 'decoder'],
)
def test_views_from_another_decoder_or_augmentation_are_refused(
    cfg, store, described, monkeypatch, owner, name, changed
):
    """Refused by a run that reads the store, and by a run that continues writing it."""
    libraries = dict(store.description['libraries'], kornia='0.0.1')
    folder = described(libraries=libraries)
    (folder / 'shards/00001.crc32').unlink()
    monkeypatch.setattr(owner, name, changed)
    message = r"\(library.kornia is '0.0.1' in the store and .* here\): image \d+ \(.*\), view \d+ by [\d.]+ of 255"
    with pytest.raises(StoreError, match=f'cannot be finished here: replayed views have other pixels .*{message}'):
        write_store(cfg, folder, VIEWS, seed=3)
    use_store(cfg, store.folder)
    with pytest.raises(StoreError, match='versions of the libraries are equal'):
        DATASETS.build(cfg.train_dataloader.dataset)


def test_small_differences_between_decoders_are_accepted(cfg, store, monkeypatch):
    """JPEG decoders differ by two grey levels; the tolerance allows noise of up to three."""

    def noisy(content, *_):
        image = decode(content).astype(int)
        noise = np.random.default_rng(len(content)).integers(-3, 4, image.shape)
        return (image + noise).clip(0, 255).astype(np.uint8)

    monkeypatch.setattr(loading, 'decode', noisy)
    use_store(cfg, store.folder)
    DATASETS.build(cfg.train_dataloader.dataset)


def test_an_augmentation_that_the_model_has_and_the_data_set_lacks_is_named(cfg, store):
    use_store(cfg, store.folder)
    del cfg.train_dataloader.dataset['augmentation']
    with pytest.raises(StoreError, match='dataset.augmentation is {.*} in the store and None here'):
        DATASETS.build(cfg.train_dataloader.dataset)


def test_a_store_in_the_folder_of_images_is_refused(cfg, images):
    with pytest.raises(ConfigError, match='The store .* lies in the folder of images .*for example --out'):
        write_store(cfg, images / 'store', views=1)
    assert not (images / 'store').exists()


def test_a_folder_with_another_store_is_not_written_to(cfg, store):
    with pytest.raises(StoreError, match='different teacher store: store.seed is 3 in the store and 4 here'):
        write_store(cfg, store.folder, VIEWS, seed=4)


def test_the_error_of_an_unusable_embedding_names_teacher_and_image(cfg, tmp_path):
    """Broken weights, as after half a download: the last layer is 0."""
    cfg.model.teacher.model = broken_clip(cfg.model.teacher.model, tmp_path / 'broken')
    with pytest.raises(StoreError, match=r'The teacher open_clip/local-dir.*for image 0 \(.*class0/0.png\), view 0'):
        write_store(cfg, tmp_path / 'store', 1)


def broken_clip(model, folder):
    shutil.copytree(model.removeprefix('local-dir:'), folder)
    file = folder / 'open_clip_model.safetensors'
    weights = load_file(file)
    for name in ('weight', 'bias'):
        weights[f'visual.attnpool.c_proj.{name}'].zero_()
    save_file(weights, file)
    return f'local-dir:{folder}'


def test_a_zero_in_a_store_is_named_when_it_is_read(cfg, store, tmp_path):
    """A complete shard with the right checksum, written by another program."""
    shutil.copytree(store.folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / 'shards/00000.npy'
    rows = np.load(file)
    rows[13] = 0
    np.save(file, rows)
    file.with_suffix('.files').unlink()
    file.with_suffix('.crc32').write_text(f'{zlib.crc32(rows):08x}\n')
    use_store(cfg, tmp_path)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset[12], dataset[14]
    with pytest.raises(StoreError, match=r'image 1 \(.*\.png\), view 1, by the teacher open_clip/'):
        dataset[13]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_processes_write_the_same_store_and_the_tools_use_it(recipe, cfg, tmp_path):
    views = 200  # 2400 rows, three shards of the usual size
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}

    def run(*command):
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    tool = ROOT / 'tools/store_teacher.py'
    arguments = (recipe, '--views', views, '--seed', 3, '--out', tmp_path / 'store', '--launcher', 'pytorch')
    told = run('-m', 'torch.distributed.run', '--nproc_per_node', 2, '--master_port', 29531, tool, *arguments)
    assert '12 images, 200 views each' in told and '64 bytes per view' in told
    written = TeacherStore(tmp_path / 'store')
    written.require_complete()
    alone = write_store(cfg, tmp_path / 'alone', views, seed=3)
    for row in range(0, 2400, 37):
        np.testing.assert_allclose(written[row], alone[row], atol=1e-3)
    assert mmlgd.train(recipe, store=tmp_path / 'store', work_dir=tmp_path / 'run').checkpoint.is_file()


def test_a_store_of_an_earlier_version_gets_new_names(cfg, store, tmp_path):
    """Its teacher has an identity without settings, by which whoever reads the store asks."""
    old = tmp_path / 'old'
    shutil.copytree(store.folder, old)
    description = json.loads((old / 'store.json').read_text())
    kind, label, _, weights = re.fullmatch(r'(\w+)/(.*)/(settings-\w+)/(\w+)', description['teacher']['id']).groups()
    description['teacher']['id'] = f'{kind}/{label}/{weights}'
    (old / 'store.json').write_text(json.dumps(description))
    cfg.model.text.vocabulary = ['boat', 'house']
    write_store(cfg, old, VIEWS, seed=3)
    use_store(cfg, old)
    del cfg.model.teacher['teacher']  # as configs of that version have it
    assert MODELS.build(cfg.model).class_names == ['boat', 'house']


def test_the_teacher_of_a_store_may_be_moved_or_typed_otherwise(cfg, store, tmp_path, monkeypatch):
    folder = Path(cfg.model.teacher.model.removeprefix('local-dir:'))
    monkeypatch.chdir(folder.parent)
    cfg.model.teacher.model = f'local-dir:{folder.name}'
    use_store(copy.deepcopy(cfg), store.folder)
    there = shutil.copytree(store.folder, tmp_path / 'store')
    told = json.loads((there / 'store.json').read_text())
    # No place here, and nothing that this machine can look for: as in a folder that this user may not read.
    told['teacher']['config']['model'] = f'local-dir:/{"gone" * 99}/clip'
    (there / 'store.json').write_text(json.dumps(told))
    use_store(copy.deepcopy(cfg), there)
    shutil.copy(store.folder / 'store.json', there)
    cfg.model.teacher.model = f'local-dir:{shutil.copytree(folder, tmp_path / "clip")}'
    description = (there / 'store.json').read_bytes()
    write_store(cfg, there, VIEWS, seed=3)  # it is complete: the same weights go on with it
    assert (there / 'store.json').read_bytes() == description


@pytest.mark.parametrize('is_same', [True, False])
def test_the_teacher_of_a_store_has_moved_and_is_asked_for_other_names(cfg, store, described, tmp_path, is_same, log):
    """Its place is another one here, and the old one is gone; the weights decide."""
    teacher = store.description['teacher']
    folder = described(teacher=dict(teacher, config=dict(teacher['config'], model='local-dir:/gone/clip')))
    if not is_same:
        cfg.model.teacher.model = broken_clip(cfg.model.teacher.model, tmp_path / 'broken')
    cfg.model.text.vocabulary = ['mill', f'cached nowhere, {is_same}']
    use_store(cfg, folder)
    assert 'The teacher of the store was at /gone/clip' in log.text
    if is_same:
        assert MODELS.build(cfg.model).class_names[0] == 'mill'
    else:
        with pytest.raises(ConfigError, match='but the given teacher is .*: their embeddings cannot be compared'):
            MODELS.build(cfg.model)


@pytest.mark.parametrize('stored', ['local-dir:/gone', 'openai:/gone/a.pt'])
def test_only_a_place_can_move(cfg, described, store, stored):
    teacher = store.description['teacher']
    cfg.model.teacher.model = 'RN50'
    with pytest.raises(StoreError, match='model.teacher.model is .* in the store and .* here'):
        use_store(cfg, described(teacher=dict(teacher, config=dict(teacher['config'], model=stored))))


@pytest.mark.parametrize('kind', ['ConcatDataset', 'RepeatDataset'])
def test_a_data_set_without_a_view_of_its_own_is_refused_before_anything_is_written(cfg, tmp_path, kind):
    cfg.train_dataloader.dataset = dict(type=kind, datasets=[cfg.train_dataloader.dataset] * 2)
    with pytest.raises(ConfigError, match=f'this {kind} has neither. Give a single data set'):
        write_store(cfg, tmp_path / 'store', 1)
    assert not (tmp_path / 'store').exists()


def test_the_teacher_of_a_student_from_a_store_is_the_one_that_wrote_it(cfg, store, tmp_path):
    live, cfg_teacher = MODELS.build(cfg.model).teacher, cfg.model.teacher.model
    use_store(cfg, store.folder)
    meta = dict(cfg=cfg.pretty_text)
    torch.save(dict(meta=meta, state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'epoch_2.pth')
    student = load_frozen(str(tmp_path / 'epoch_2.pth'))
    images = torch.rand(2, 3, 32, 32)
    named = dict(model=cfg_teacher)
    with pytest.raises(ValueError, match='store.* has a teacher with model='):
        load_teacher(student)
    torch.testing.assert_close(load_teacher(student, named)(images).embeddings, live.encode_image(images))
    # The store, or the weights of its teacher, may have been moved since.
    moved = dict(named, store=str(shutil.copytree(store.folder, tmp_path / 'moved')))
    torch.testing.assert_close(load_teacher(student, moved)(images).embeddings, live.encode_image(images))
    with pytest.raises(MMLGDError, match='there.pt'):
        load_teacher(student, dict(model='RN50', pretrained='there.pt'))
    with pytest.raises(StoreError, match='nowhere'):
        load_teacher(student, dict(store=str(tmp_path / 'nowhere')))
