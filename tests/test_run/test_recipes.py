"""Recipes: which one is chosen, with which numbers, and what is said about it."""

import pytest
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.run.recipes import (
    BASES,
    DENSE,
    FEW_STEPS,
    PLACES,
    SHORT,
    check_recipe,
    most_counted,
    plan_run,
    recipe_settings,
)
from mmlgd.run.written import config_text, read_text
from tests import ROOT


def test_the_recipe_follows_images_and_epochs_with_a_reason():
    assert plan_run(1_281_167).recipe == plan_run(50_000, epochs=200).recipe == 'paper'
    assert plan_run(49_999).recipe == plan_run(1_281_167, epochs=1).recipe == 'small-data'
    (reason,) = plan_run(3000, epochs=100).reasons
    assert 'Recipe small-data: 3,000 images x 100 epochs' in reason
    for word in ('AdamW', 'temperatures', 'queue', 'cycle', '--recipe paper', 'SGD'):
        assert word in reason
    assert 'temperatures 0.05 and 0.04' in reason and 'temperatures 0.2 and 0.01,' in reason
    assert 'temperatures 0.05 and 0.01,' in plan_run(3000, epochs=100, is_conse=False).reasons[0]
    assert not plan_run(3000, 'small-data', epochs=100).reasons  # who asks for one is told nothing,
    (reason,) = plan_run(3000, 'paper', epochs=100).reasons  # except that it cannot learn
    assert 'has 1,100 steps' in reason and '39,062' in reason and '--recipe small-data' in reason
    assert not plan_run(1_281_167, 'paper').reasons


def test_a_first_run_on_a_cpu_is_short_and_one_with_a_card_is_not():
    cpu, card = plan_run(3000, has_card=False), plan_run(3000)
    assert (cpu.epochs, cpu.size, cpu.batch_size) == (10, 64, 32) and 'how long it takes' in cpu.reasons[-1]
    assert (card.epochs, card.size, card.batch_size) == (200, 224, 64)
    published = plan_run(3000, 'paper', has_card=False)
    assert (published.epochs, published.size, published.batch_size) == (200, 224, 256)
    given = plan_run(3000, epochs=50, size=128, batch_size=32, has_card=False)
    assert (given.epochs, given.size, given.batch_size) == (50, 128, 32)
    assert '--teacher conse' in plan_run(3000, has_card=False, is_conse=False).reasons[-1]
    assert 'first run of 10 epochs at 224 px.' in plan_run(3000, size=224, has_card=False).reasons[-1]
    assert not any('conse' in reason for reason in card.reasons)


def test_a_run_of_few_steps_is_told_what_helps():
    plan = plan_run(100, epochs=20, batch_size=50)
    assert 'has 40 steps' in plan.reasons[-1] and '--epochs 75 or more' in plan.reasons[-1]
    assert plan_run(100, epochs=75, batch_size=50).reasons[-1].startswith('Recipe')
    assert 75 * 2 == FEW_STEPS


@pytest.mark.parametrize('gpus', [1, 8, 64])
def test_images_beyond_the_count_change_nothing(gpus):
    few, all_of_them = (plan_run(n, gpus=gpus) for n in (most_counted(None, None, gpus), 10**7))
    assert few.batch_size == all_of_them.batch_size == 256
    assert few.reasons[0].startswith(f'Recipe paper: at least {few.images:,} images x 200')
    assert plan_run(3000).reasons[0].startswith('Recipe small-data: 3,000 images x 200')


@pytest.mark.parametrize('images, gpus, batch', [(12, 1, 12), (12, 4, 3), (3, 2, 2), (10**4, 2, 64)])
def test_a_step_has_no_more_images_than_there_are(images, gpus, batch):
    assert plan_run(images, gpus=gpus).batch_size == batch


@pytest.mark.parametrize('images, batch', [(40, 40), (48, 24), (60, 30), (100, 33), (127, 31), (254, 32)])
def test_the_steps_of_a_small_folder_leave_out_few_images(images, batch):
    assert plan_run(images, epochs=100).batch_size == batch and images % batch <= 3 or images >= 4 * 32


def test_a_short_run_takes_smaller_steps_and_more_of_them():
    assert plan_run(SHORT // 10, epochs=10).batch_size == 64
    assert plan_run(SHORT // 10 - 1, epochs=10).batch_size == plan_run(SHORT // 10, epochs=10, gpus=2).batch_size == 32
    assert plan_run(2000, 'paper', epochs=10).batch_size == 256
    assert plan_run(1000, epochs=10, batch_size=64).batch_size == 64


def settings_of(plan, teacher='mmlgd.OpenCLIPTeacher'):
    return recipe_settings(plan, dict(type=teacher), 'coco', None, {}, workers=0, seed=0)


@pytest.mark.parametrize('epochs', [1, 3, 4, 90, 200])
@pytest.mark.parametrize('recipe', BASES)
def test_the_schedule_fills_the_run(recipe, epochs):
    settings = settings_of(plan_run(10_000, recipe, epochs, 256, gpus=2))
    first, last = settings['param_scheduler'][0], settings['param_scheduler'][-1]
    assert settings['train_cfg']['max_epochs'] == last.get('end', last.get('total_steps')) == epochs
    assert settings['auto_scale_lr'] == dict(base_batch_size=512)
    lr = settings['optim_wrapper']['optimizer']['lr']
    if recipe == 'paper':
        assert last['T_max'] + last['begin'] == epochs and lr == pytest.approx(0.06)  # two cards
        assert first['begin'] == 0 and (len(settings['param_scheduler']) == 1) == (epochs < 4)
    else:
        assert last['eta_max'] == lr == pytest.approx(2e-3 * 8**0.5, rel=1e-5)


def test_conse_says_more_than_names_to_small_data_alone():
    paper, small = (settings_of(plan_run(3000, recipe, size=64), 'mmlgd.ConSETeacher')['model'] for recipe in BASES)
    assert small['text']['templates'] == paper['text']['templates'] == 'plain'
    words = dict(type='mmlgd.ConSETeacher', compile='auto', image_size=(128, 128))
    pair = dict(type='mmlgd.TeacherPair', words=words, looks='logits', looks_share=0.9)
    assert small['teacher'] == dict(pair, _delete_=True)
    assert small['loss'] == dict(teacher_temperature=0.04) and small['queue'] == dict(size=3000)
    assert paper['teacher'] == dict(type='mmlgd.ConSETeacher', compile='auto', _delete_=True)
    assert not {'loss', 'queue'} & set(paper)
    larger = settings_of(plan_run(3000, size=224), 'mmlgd.ConSETeacher')['model']['teacher']
    assert 'image_size' not in larger['words']


@pytest.mark.parametrize(
    'teacher, share',
    [
        (dict(type='mmlgd.ConSETeacher', visual_share=0.0), 0.0),
        (dict(type='mmlgd.TeacherPair', words=dict(type='mmlgd.ConSETeacher'), looks='timm:resnet18'), None),
    ],
)
def test_a_teacher_with_a_share_of_looks_keeps_it(teacher, share):
    found = recipe_settings(plan_run(3000, 'small-data', size=64), teacher, 'coco', None, {}, 0, 0)['model']
    assert found['teacher'].get('looks_share') == share and found['text']['templates'] == 'plain'
    assert found['teacher']['words']['image_size'] == (128, 128) and found['teacher']['words']['compile'] == 'auto'
    assert 'visual_share' not in found['teacher']['words']


def test_what_sees_images_is_compiled():
    words = dict(type='mmlgd.OpenCLIPTeacher', model='ViT-gopt-16-SigLIP2-384', pretrained='webli')
    radio = dict(type='mmlgd.RADIOTeacher', weights='radio.pth.tar', words=words)
    found = recipe_settings(plan_run(3000, 'paper'), radio, 'coco', None, {}, 0, 0)['model']['teacher']
    assert found == dict(radio, _delete_=True, compile='auto')


def test_a_dense_run_is_the_recipe_with_terms_on_places():
    plan = plan_run(3000, dense=True, has_card=False)
    assert plan.base == DENSE['small-data'] and (plan.size, plan.epochs) == (128, 2)
    assert plan_run(3000, 'paper', dense=True).base == DENSE['paper'] and plan_run(3000, 'paper').base == BASES['paper']
    assert 'loss' not in settings_of(plan)['model']
    model = settings_of(plan, 'mmlgd.ConSETeacher')['model']
    words = model['teacher']['words']
    assert words['places_size'] == 256 and words['image_size'] == (128, 128)
    found = [(term['bank'], term.get('on', 'image'), term['teacher_temperature']) for term in model['loss']['terms']]
    assert found == [
        ('visual', 'image', 0.04),
        ('text', 'image', 0.04),
        ('queue', 'image', 0.01),
        ('text', 'places', 0.04),
        ('place_queue', 'places', 0.01),
    ]
    paper = settings_of(plan_run(3000, 'paper', dense=True), 'mmlgd.ConSETeacher')['model']
    assert 'loss' not in paper and 'places_size' not in paper['teacher']
    base = read_text(
        config_text(plan.base, settings_of(plan, 'mmlgd.ConSETeacher'), {'model.teacher.words.places_size': None})
    )
    assert base['model']['teacher']['words']['places_size'] is None  # the option in docs/detectors_and_segmentors.md


def test_images_without_a_whole_number_of_places_are_told():
    told = plan_run(60_000, 'paper', size=200, dense=True).reasons
    assert len(told) == 1 and 'images of 200 px have no whole number' in told[0] and '--size 224' in told[0]
    for settings in (dict(size=192, dense=True), dict(dense=True), dict(size=200)):
        assert not plan_run(60_000, 'paper', **settings).reasons


@pytest.mark.parametrize('recipe', DENSE)
def test_the_queue_of_places_grows_with_the_places_of_a_step(recipe):
    settings = dict(recipe=recipe, dense=True, batch_size=8)
    assert 'place_queue' not in settings_of(plan_run(3000, **settings))['model']
    assert settings_of(plan_run(3000, **settings, gpus=4))['model']['place_queue'] == dict(size=4 * 8192)
    assert 'place_queue' not in settings_of(plan_run(3000, recipe, batch_size=8, gpus=4))['model']
    base = Config.fromfile(ROOT / 'configs' / DENSE[recipe]).model  # of one GPU
    places = max(term.get('places', 1024) for term in base.loss.terms)
    assert base.place_queue.size == PLACES == 8 * places


def test_a_recipe_that_is_none_is_refused():
    with pytest.raises(ConfigError, match='Expected one of paper, small-data'):
        check_recipe('large-data')
