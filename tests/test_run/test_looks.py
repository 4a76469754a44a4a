"""A run measures its looks once: its checkpoints and stores keep the statistics, and nobody measures others."""

import json
import re

import pytest
import timm
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.checkpoints.configs import model_config
from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.errors import MissingFileError, MMLGDError
from mmlgd.evaluation import load_frozen, load_teacher
from mmlgd.run import looks as room
from tests import ROOT


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of, tiny_clip):
    """A run whose teacher is a pair; its looks have weights of a file."""
    folder = tmp_path_factory.mktemp('pair')
    torch.manual_seed(0)
    torch.save(timm.create_model('test_resnet', pretrained=False).state_dict(), folder / 'looks.pth')
    looks = dict(backbone='timm:test_resnet', weights=str(folder / 'looks.pth'), image_size=64, looks_dim=16)
    words = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    pair = dict(_delete_=True, type='mmlgd.TeacherPair', words=words, looks=looks, looks_share=0.75)
    base = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
    (folder / 'mine.py').write_text(
        recipe_of(base) + f"model['teacher'] = {pair!r}\ntrain_dataloader['dataset'].update(view='crop-flip')\n"
    )
    return folder / 'mine.py'


@pytest.fixture(scope='module', autouse=True)
def few_images():
    """The folder of the tests has 12 images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmlgd.models.teachers.looks.statistics.FEWEST', 4)
        yield


@pytest.fixture(scope='module')
def trained(recipe, tmp_path_factory):
    return mmlgd.train(recipe, work_dir=tmp_path_factory.mktemp('run')).checkpoint


@pytest.fixture
def measures_nothing(monkeypatch):
    def refuse(cfg, teacher):
        raise AssertionError('measured again')

    monkeypatch.setattr(room, '_measured', refuse)


def told_by(checkpoint):
    return model_config(read_checkpoint(checkpoint))['model']['teacher']


def test_a_checkpoint_keeps_the_statistics_and_its_log_the_temperatures(trained, recipe):
    teacher = told_by(trained)
    assert len(teacher['looks']['statistics']) > 500 and teacher['looks']['looks_dim'] == 16
    assert 'statistics' not in Config.fromfile(recipe).model.teacher.looks
    (log,) = trained.parent.glob('*/*.log')
    text = log.read_text()
    assert re.search(r'0\.5 times those of the words. teacher.*loss_visual 0\.005, loss_textual 0\.005', text)


@pytest.mark.usefixtures('measures_nothing')
def test_nobody_measures_again(trained, recipe, tmp_path):
    options = {'train_cfg.max_epochs': 3}
    resumed = mmlgd.train(recipe, work_dir=tmp_path, resume=trained, cfg_options=options)
    assert resumed.checkpoint.name == 'epoch_3.pth'
    assert told_by(resumed.checkpoint)['looks']['statistics'] == told_by(trained)['looks']['statistics']
    assert 'accuracy/top1' in mmlgd.test(recipe, trained, work_dir=tmp_path / 'test')
    options = dict(
        looks=dict(weights=str(recipe.parent / 'looks.pth')), words=dict(model=told_by(trained)['words']['model'])
    )
    teacher = load_teacher(load_frozen(trained), options)
    assert teacher.backbone.teacher.names_scale == 0.5
    student = mmlgd.Student(trained, teacher=options).with_names(['a lamp', 'a bird'])
    assert student.bank.shape == (2, 48) and not student.bank[:, 32:].any()
    with pytest.raises(MMLGDError, match=r'--teacher-options words.model='):
        mmlgd.Student(trained).with_names(['a lamp', 'a bird'])


def test_a_store_keeps_them_too(recipe, tmp_path, monkeypatch):
    written = mmlgd.store_teacher(recipe, out=tmp_path / 'store', views=2)
    kept = json.loads((tmp_path / 'store/store.json').read_text())['teacher']
    assert len(kept['config']['looks']['statistics']) > 500 and kept['embed_dim'] == 48
    monkeypatch.setattr(room, '_measured', lambda cfg, teacher: pytest.fail('measured again'))
    again = mmlgd.store_teacher(recipe, out=tmp_path / 'store', views=2)
    assert again.images == written.images == 12
    run = mmlgd.train(recipe, work_dir=tmp_path / 'run', store=tmp_path / 'store')
    assert told_by(run.checkpoint)['teacher']['looks'] == kept['config']['looks']
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'loss_textual 0.005' in log  # temperatures follow a pair behind a store as well
    by_hand = {'model.teacher': dict(_delete_=True, type='mmlgd.CachedTeacher', store=str(tmp_path / 'store'))}
    by_hand['model.teacher']['teacher'] = Config.fromfile(recipe).model.teacher.to_dict()  # without statistics
    cfg = Config.fromfile(recipe)
    cfg.merge_from_dict(by_hand)
    room.take_statistics(cfg, None)
    assert cfg.model.teacher.teacher['looks'] == kept['config']['looks']
    cfg.merge_from_dict({**by_hand, 'model.teacher.teacher.looks.looks_dim': 8})
    with pytest.raises(MMLGDError, match='written with other looks'):
        room.take_statistics(cfg, None)
    with pytest.raises(MMLGDError, match='does not fit this config: model.teacher.looks'):
        options = {'model.teacher.looks.looks_dim': 8}
        mmlgd.train(recipe, work_dir=tmp_path / 'other', store=tmp_path / 'store', cfg_options=options)


def test_a_store_keeps_the_places_of_a_pair(recipe, tmp_path, monkeypatch):
    terms = [dict(bank='text'), dict(bank='text', on='places'), dict(type='mmlgd.RegressionTerm', on='places')]
    options = {'model.loss': dict(_delete_=True, type='mmlgd.DistillationLoss', terms=terms)}
    mmlgd.store_teacher(recipe, out=tmp_path / 'store', views=2, places='own', cfg_options=options)
    kept = mmlgd.store.TeacherStore(tmp_path / 'store').places_of(0).astype('float32')
    assert kept.shape == (2, 2, 48) and abs((kept[..., 32:] ** 2).sum(-1) - 0.75).max() < 1e-2
    run = mmlgd.train(recipe, work_dir=tmp_path / 'run', store=tmp_path / 'store', cfg_options=options)
    assert set(run.losses) == {'loss', 'loss_textual', 'loss_place_textual', 'loss_place_regression'}
    similar = {'model.teacher.looks': 'similarity:timm:test_resnet', **options}
    similar['model.loss'] = dict(options['model.loss'], terms=[*terms, dict(type='mmlgd.SimilarityTerm', on='looks')])
    monkeypatch.setattr(room, 'build_teacher', lambda *_: pytest.fail('refused too late'))
    for call in (
        lambda: mmlgd.store_teacher(recipe, out=tmp_path / 'other', views=2, cfg_options=similar),
        lambda: mmlgd.train(recipe, work_dir=tmp_path / 'no', store=tmp_path / 'store', cfg_options=similar),
    ):
        with pytest.raises(MMLGDError, match='a teacher store keeps none'):
            call()
    with pytest.raises(MMLGDError, match='--places: expected rows x columns'):  # before looks are measured
        mmlgd.store_teacher(recipe, out=tmp_path / 'other', views=2, places='7')


def test_too_few_images_are_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr('mmlgd.models.teachers.looks.statistics.FEWEST', 16)
    with pytest.raises(MMLGDError, match='need a few hundred images, and at least 16; got 12'):
        mmlgd.train(recipe, work_dir=tmp_path)


def test_images_that_no_library_can_read_are_named(recipe, tmp_path):
    dataset = dict(_delete_=True, type='mmpretrain.CustomDataset', data_root=str(tmp_path / 'gone'), pipeline=[])
    config = tmp_path / 'mine.py'
    config.write_text(f"{recipe.read_text()}train_dataloader['dataset'] = {dataset}")
    with pytest.raises(MissingFileError, match='train_dataloader cannot be built from .*gone'):
        mmlgd.train(config, work_dir=tmp_path / 'run')


def test_every_process_builds_the_teacher_and_the_main_one_measures(recipe, monkeypatch):
    """A teacher that is built talks to the other processes: alone, it would wait for them for ever."""
    cfg, built = Config.fromfile(recipe), []
    monkeypatch.setattr(room, 'build_teacher', lambda *args: built.append(args))
    monkeypatch.setattr(room, '_measured', lambda *_: pytest.fail('measured beside the main process'))
    monkeypatch.setattr(room.dist, 'is_main_process', lambda: False)
    monkeypatch.setattr(room.dist, 'broadcast_object_list', lambda found: found.__setitem__(0, 'AAAA'))
    room.settle_statistics(cfg)
    assert len(built) == 1 and cfg.model.teacher['looks']['statistics'] == 'AAAA'


@pytest.mark.parametrize('guide', [None, 3])
def test_a_guided_model_without_a_guide_has_no_looks_to_measure(guide):
    cfg = Config(dict(model=dict(type='mmlgd.Guided', plain='ImageClassifier', guide=guide)))
    room.take_statistics(cfg, 'last.pth')
    room.settle_statistics(cfg)
