"""Which teacher answers for a student that is trained already, above all for one that was trained from a store."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.converters.onnx_file import load_part
from mmlgd.errors import MissingFileError, MMLGDError
from mmlgd.evaluation import load_frozen, load_teacher
from mmlgd.evaluation.lineup import load_models
from mmlgd.figures.looking import look
from mmlgd.models.banks import TextualSemanticsBank
from mmlgd.registry import MODELS
from mmlgd.store import CachedTeacher, StoreError
from mmlgd.store.writer import use_store, write_store
from mmlgd.student.live_teacher import build_live_teacher
from mmlgd.student.saved import SavedStudent
from tests.test_store.test_writer import RECIPE

NEW = ['zebra', 'lake', 'sky']


@pytest.fixture(scope='module')
def trained(tmp_path_factory, recipe_of, mmpretrain_scope):
    """The checkpoint of a student, beside the store that it was trained from."""
    folder = tmp_path_factory.mktemp('trained')
    (folder / 'mine.py').write_text(recipe_of(RECIPE))
    return saved_from_store(Config.fromfile(folder / 'mine.py'), folder)


def saved_from_store(cfg, folder):
    """The checkpoint of a student that a run from a store would write, with the store beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_store(cfg, 'store', views=1)
        use_store(cfg, 'store')
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(meta=dict(cfg=cfg.pretty_text), state_dict=state), folder / 'epoch_2.pth')
    return folder / 'epoch_2.pth'


@pytest.fixture
def elsewhere(trained, tmp_path):
    """The same, after the store was moved and the weights of its teacher were lost."""
    shutil.copytree(trained.parent / 'store', tmp_path / 'moved', ignore=shutil.ignore_patterns('shards'))
    told = json.loads((tmp_path / 'moved/store.json').read_text())
    told['teacher']['config']['model'] = 'local-dir:/lost'
    (tmp_path / 'moved/store.json').write_text(json.dumps(told))
    return tmp_path / 'moved'


@pytest.fixture(scope='module')
def expected(tiny_clip):
    teacher = MODELS.build(dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip))
    return TextualSemanticsBank(teacher, NEW, 'plain').bank


def by_evaluation(arguments, options, images):
    changes = dict(option.split('=', 1) for option in options)
    models = load_models(dict(student=arguments[0]), NEW, with_teacher=True, teacher=changes)
    assert models['teacher'](torch.rand(1, 3, 64, 64)).embeddings.shape == (1, 32)
    return models['student'].bank


def by_figures(arguments, options, images):
    changes = dict(option.split('=', 1) for option in options)
    seen = look(*arguments, str(images / 'class0'), 2, True, NEW, changes)
    assert seen.teacher.shape == (2, 32)
    return seen.bank


def by_export(arguments, options, images):
    changes = dict(option.split('=', 1) for option in options)
    return load_part(SavedStudent.read(*arguments), 'zero-shot', NEW, 'plain', changes)[0].bank


DOORS = {
    'get_zero_shot_classifier': lambda checkpoint, changes: mmlgd.get_zero_shot_classifier(
        checkpoint, NEW, teacher=changes
    ),
    'ZeroShotInferencer': lambda checkpoint, changes: (
        mmlgd.ZeroShotInferencer(checkpoint, NEW, teacher=changes, device='cpu').model
    ),
    'load_frozen': lambda checkpoint, changes: load_frozen(str(checkpoint), NEW, teacher=changes),
}


@pytest.mark.parametrize('door', DOORS.values(), ids=DOORS)
def test_new_names_for_a_student_from_a_store_are_embedded_by_the_teacher_that_wrote_it(
    door, trained, tiny_clip, expected
):
    torch.testing.assert_close(door(trained, dict(model=tiny_clip)).bank, expected)


@pytest.mark.parametrize('door', [by_evaluation, by_figures, by_export])
def test_the_tools_ask_it_too_with_their_options(door, trained, tiny_clip, expected, images):
    pytest.importorskip('sklearn')
    torch.testing.assert_close(door([str(trained)], [f'model={tiny_clip}'], images).cpu(), expected)


def test_options_are_for_the_names_of_the_first_student_as_well(lgd_checkpoint, tiny_clip, tmp_path, images):
    """Its teacher lies elsewhere since it was trained."""
    pytest.importorskip('sklearn')
    content = torch.load(lgd_checkpoint, weights_only=True)
    content['meta']['cfg'] = content['meta']['cfg'].replace(tiny_clip, 'local-dir:/lost')
    torch.save(content, tmp_path / 'lost.pth')
    bank = by_evaluation([str(tmp_path / 'lost.pth')], [f'model={tiny_clip}'], images)
    assert bank.shape == (3, 32)


def test_names_that_the_store_has_need_no_teacher(trained, elsewhere):
    names = ['cat', 'dog', 'tree']
    own = mmlgd.get_zero_shot_classifier(trained)
    again = mmlgd.get_zero_shot_classifier(trained, names, teacher=dict(store=str(elsewhere)))
    assert torch.equal(again.bank, own.bank) and again.class_names == names


def test_a_teacher_that_is_lost_is_asked_for(trained, elsewhere, tiny_clip, expected, tmp_path, monkeypatch):
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path / 'cache'))  # nobody has asked for these names before
    moved = dict(store=str(elsewhere))
    message = r"(?s)/lost.*written by the teacher 'open_clip/.*teacher=dict\(.*--teacher-options"
    with pytest.raises(MissingFileError, match=message):
        mmlgd.get_zero_shot_classifier(trained, NEW, teacher=dict(moved, model='local-dir:/lost'))
    found = mmlgd.get_zero_shot_classifier(trained, NEW, teacher=dict(moved, model=tiny_clip))
    torch.testing.assert_close(found.bank, expected)
    whole = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    torch.testing.assert_close(mmlgd.get_zero_shot_classifier(trained, NEW, teacher=whole).bank, expected)
    nowhere = dict(store=str(elsewhere / 'nowhere'))
    with pytest.raises(StoreError, match='no teacher store.*--teacher-options.*store=FOLDER'):
        mmlgd.get_zero_shot_classifier(trained, NEW, teacher=nowhere)
    with pytest.raises(StoreError, match='store=FOLDER'):
        load_teacher(load_frozen(str(trained)), nowhere)


def test_a_store_that_was_given_relative_is_found_from_other_folders(trained, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = load_frozen(str(trained)).config
    assert config.model.teacher.store == str(trained.parent / 'store')
    assert config.train_dataloader.dataset.store == str(trained.parent / 'store')
    teacher = build_live_teacher(config, load_frozen(str(trained)).teacher_id)
    assert isinstance(teacher, CachedTeacher) and teacher.live is None


@pytest.mark.parametrize('store', [None, 5, '/nowhere'])
def test_what_names_no_store_is_refused(store, trained):
    with pytest.raises(MMLGDError, match='store'):
        build_live_teacher(dict(model=dict(teacher=dict(type='mmlgd.StoredTeacher', store=store))), 'open_clip/x')


def test_a_stored_teacher_segments_at_the_size_of_its_places(recipe_of, tmp_path, tiny_clip, mmpretrain_scope):
    (tmp_path / 'mine.py').write_text(recipe_of(RECIPE))
    cfg = Config.fromfile(tmp_path / 'mine.py')
    cfg.model.teacher.places_size = 96
    saved_from_store(cfg, tmp_path)
    options = dict(names=NEW, scored='teacher', teacher_options=dict(model=tiny_clip))
    segmentor = mmlgd.ZeroShotSegmentor(str(tmp_path / 'epoch_2.pth'), **options)
    tower = segmentor.segmenter.windows.tower
    assert tower.size == (96, 96) and tower.grid == (3, 3)
