"""``mmlgd.pretrain``: the config that it writes, what it refuses, and what it runs."""

import importlib
import multiprocessing
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.checkpoints import CheckpointError, model_config, read_checkpoint
from mmlgd.checkpoints.last import checkpoints_of
from mmlgd.checkpoints.resume import refuse_moved
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.registry import MODELS
from mmlgd.run.child import RunError
from mmlgd.run.inputs import check_step, count_images, path_of, teacher_settings
from mmlgd.store.writer import write_store
from mmlgd.student.image_size import evaluation_pipeline, image_size
from mmlgd.utils.files import sole_writer
from tests.bad_images import bad_files, unusual_files

module = importlib.import_module('mmlgd.run.pretrain')  # `mmlgd.pretrain` is the function


@pytest.fixture
def names(tmp_path):
    file = tmp_path / 'names.txt'
    file.write_text('cat\ndog\ntree\n')
    return file


@pytest.fixture
def pretrain(images, names, tiny_clip, tmp_path, monkeypatch):
    """Call the function with defaults that a test can have another of; without training."""
    monkeypatch.chdir(tmp_path)

    def call(**options):
        given = dict(images=images, names=names, teacher=tiny_clip, batch_size=4, size=64, workers=0, dry_run=True)
        return mmlgd.pretrain(**{**given, **options})

    return call


def test_a_dry_run_writes_and_prints_an_ordinary_config(pretrain, images, names, tmp_path, capsys):
    result = pretrain(epochs=20, batch_size=8, seed=3, recipe='paper')
    file, printed = result.config, capsys.readouterr().out
    assert file.resolve() == tmp_path / 'work_dirs' / f'lgd_resnet18_{images.name}' / 'recipe' / 'pretrain.py'
    assert file.read_text() in printed and 'mmlgd.cli train' in printed
    assert "'mmlgd::lgd/lgd_resnet18" in file.read_text()
    cfg = Config.fromfile(file)
    assert cfg.model.backbone.type == 'mmpretrain.ResNet' and cfg.model.text.vocabulary == str(names)
    assert cfg.model.teacher.model.startswith('local-dir:') and 'pretrained' not in cfg.model.teacher
    assert cfg.train_dataloader.dataset.data_root == str(images.resolve())
    assert image_size(cfg) == (64, 64)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.03 * 8 / 256)
    assert (cfg.train_cfg.max_epochs, cfg.randomness.seed, cfg.auto_scale_lr.base_batch_size) == (20, 3, 8)
    assert cfg.work_dir == str(file.parents[1].resolve())
    assert result.checkpoint is None and not result.figures and not list(file.parents[1].glob('*.pth'))


@pytest.mark.parametrize('recipe', ['paper', 'small-data'])
def test_the_recipe_that_is_asked_for_is_written(pretrain, recipe):
    cfg = Config.fromfile(pretrain(recipe=recipe).config)
    is_paper = recipe == 'paper'
    assert cfg.optim_wrapper.optimizer.type == ('SGD' if is_paper else 'AdamW')
    assert cfg.model.loss.student_temperature == (0.2 if is_paper else 0.05)
    assert ('queue' in cfg.model) == (not is_paper)
    assert cfg.param_scheduler[0].type == ('LinearLR' if is_paper else 'OneCycleLR')


@pytest.mark.parametrize('recipe', ['paper', 'small-data'])
def test_dense_adds_terms_on_places_to_the_recipe(pretrain, recipe):
    result = pretrain(recipe=recipe, dense=True)
    assert result.work_dir.name.startswith('dense_resnet18_')
    loss = MODELS.build(Config.fromfile(result.config).model.loss)
    assert loss.needs_places == ('loss_place_textual', 'loss_place_queue') and loss.places == 1024
    plain = MODELS.build(Config.fromfile(pretrain(recipe=recipe).config).model.loss)
    kept = [repr(term) for term in loss.terms if term.on == 'image']
    assert kept == [repr(term) for term in plain.terms][: len(kept)]


def test_the_trial_before_a_store_does_not_speak_of_its_own_names(pretrain, tmp_path, log):
    pretrain(store=tmp_path / 'store')
    assert not [told for told in log.messages if 'Training in' in told or ' 2 names' in told]


def test_looks_beside_the_words_of_the_teacher(pretrain, monkeypatch, tmp_path):
    monkeypatch.setattr('mmlgd.models.teachers.looks.statistics.FEWEST', 4)
    weights = tmp_path / 'looks.pth'
    torch.save(timm.create_model('test_resnet', pretrained=False).state_dict(), weights)
    options = {'model.teacher.looks.image_size': 64, 'model.teacher.looks.weights': str(weights)}
    given = dict(looks='timm:test_resnet', cfg_options=options)
    result = pretrain(**given, looks_share=0.75, dense=True, recipe='paper')
    teacher = Config.fromfile(result.config).model.teacher
    assert teacher.type == 'mmlgd.TeacherPair' and teacher.words.type == 'mmlgd.OpenCLIPTeacher'
    assert teacher.looks == dict(backbone='timm:test_resnet', compile='auto', image_size=64, weights=str(weights))
    assert (
        teacher.looks_share == 0.75 and 'words' not in Config.fromfile(pretrain(work_dir='plain').config).model.teacher
    )
    first = pretrain(**given, store=tmp_path / 'store').commands[0]  # looks are measured by the writer of the store
    assert first[3] == 'store' and not (tmp_path / 'store').exists()
    monkeypatch.setattr('mmlgd.models.teachers.looks.statistics.FEWEST', 16)
    with pytest.raises(MMLGDError, match='measured on .* at least 16; there are 12'):
        pretrain(**given)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(looks_share=0.5), '--looks-share 0.5 needs looks'),
        (dict(looks='timm:test_resnet', looks_share=1.0), r'looks_share in \[0, 1\)'),
        (dict(looks='similarity:timm:test_resnet'), 'map of similarities, which needs a term'),
        (dict(looks='logits'), "looks='logits' .*has none"),
        (dict(looks='resnet18'), "named 'library:model'"),
        (dict(looks=''), 'Expected looks as "library:model"'),
        (dict(looks='logits', teacher=dict(type='mmlgd.TeacherPair', words={}, looks='logits')), 'has looks already'),
    ],
)
def test_looks_that_cannot_be_used_are_refused_before_anything_is_written(pretrain, options, message, tmp_path):
    with pytest.raises(MMLGDError, match=message):
        pretrain(**options)
    assert not (tmp_path / 'work_dirs').exists()


def test_dense_without_places_is_refused_by_name_before_anything_is_written(pretrain, tmp_path, monkeypatch):
    write_store(Config.fromfile(pretrain(work_dir='plain').config), tmp_path / 'store', views=1)
    with pytest.raises(MMLGDError, match='compares places, and the teacher store .* has none. Give another folder'):
        pretrain(dense=True, store=tmp_path / 'store')
    monkeypatch.setattr('mmlgd.models.teachers.openclip.open_clip_places', lambda *_, **__: None)
    with pytest.raises(MMLGDError, match='The image tower of .* has no places'):
        pretrain(dense=True)
    assert not (tmp_path / 'work_dirs').exists()


def test_a_student_by_name_and_options_have_the_last_word(pretrain):
    options = {'model.backbone.out_indices': [3], 'model.queue.size': 16, 'param_scheduler.0.pct_start': 0.5}
    options['data_preprocessor.non_blocking'] = True  # new at the top, and a dict
    result = pretrain(student='mmpretrain:regnetx-400mf', recipe='small-data', cfg_options=options)
    assert result.work_dir.name.startswith('lgd_mmpretrain-regnetx-400mf_')
    cfg = Config.fromfile(result.config)
    assert cfg.model.backbone.to_dict() == dict(type='mmpretrain.RegNet', arch='regnetx_400mf', out_indices=[3])
    assert 'in_channels' not in cfg.model.neck
    assert cfg.model.queue.size == 16 and cfg.param_scheduler[0].pct_start == 0.5
    assert cfg.data_preprocessor == dict(non_blocking=True)
    assert cfg.param_scheduler[0].type == 'OneCycleLR' and cfg.model.loss.alpha == 0.25  # the rest is the recipe's
    with pytest.raises(ConfigError, match='cannot be merged'):
        pretrain(cfg_options={'param_scheduler.9.pct_start': 0.5}, overwrite=True)


@pytest.mark.parametrize(
    'options, policy, most',
    [
        ({}, 'skip', 0.01),
        (dict(bad_images='raise'), 'raise', 0.01),
        (dict(max_bad_images='2.5%'), 'skip', 0.025),
        (dict(max_bad_images=0.05), 'skip', 0.05),
        (dict(max_bad_images=20, bad_images='skip'), 'skip', 20),
    ],
)
def test_what_becomes_of_bad_images(pretrain, options, policy, most):
    file = pretrain(**options).config
    dataset = Config.fromfile(file).train_dataloader.dataset
    assert dataset.type == 'mmlgd.Images'
    assert (dataset.bad_images, dataset.max_bad_images) == (policy, most)
    assert ('bad_images' in file.read_text()) == bool(options)


@pytest.mark.parametrize('amount', ['0', '-1', '0%', '100%', '1.5', 'many', 'nan%', 0, 1.5, float('nan')])
def test_an_amount_of_bad_images_that_is_none_is_refused(pretrain, amount):
    with pytest.raises(ConfigError, match='expected a number of images'):
        pretrain(max_bad_images=amount)


def test_a_folder_named_like_an_image_is_not_counted(pretrain, tmp_path):
    (tmp_path / 'some' / 'a.jpg').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='or its sub-folders ends with .jpg'):
        pretrain(images=tmp_path / 'some')


@pytest.mark.parametrize('inside', ['default', 'work_dir', 'store'])
def test_what_would_be_written_into_the_images_is_refused(pretrain, images, tmp_path, monkeypatch, inside):
    """Curves of this run would be images of the next one."""
    if inside == 'default':
        (tmp_path / 'photos').symlink_to(images)
        monkeypatch.chdir(tmp_path / 'photos')
        given = dict(images='.')
    else:
        given = {inside: images / 'sub' / 'here'}
    with pytest.raises(MMLGDError) as caught:
        pretrain(**given)
    option = '--store' if inside == 'store' else '--work-dir'
    assert f'lies in the folder of images {images}' in str(caught.value)
    assert f'{option} {images}_' in str(caught.value)
    assert not any((images / name).exists() for name in ('work_dirs', 'sub'))


def test_what_is_counted_is_what_is_trained(pretrain, images, tmp_path):
    (tmp_path / 'some').mkdir()
    (tmp_path / 'some' / 'linked').symlink_to(images)
    (tmp_path / 'some' / '._x.jpg').touch()
    (tmp_path / 'some' / 'loop').symlink_to('.')
    with pytest.raises(ConfigError, match='has 12 images, but a step needs 100'):
        pretrain(images=tmp_path / 'some', batch_size=100)
    cfg = Config.fromfile(pretrain(images=tmp_path / 'some', batch_size=None).config)
    assert cfg.train_dataloader.batch_size == 12


def test_names_are_joined(pretrain, names):
    file = pretrain(names=dict(union=[names, 'coco'])).config
    assert Config.fromfile(file).model.text.vocabulary == dict(union=[str(names), 'coco'])


def test_names_in_a_list_are_the_names_themselves(pretrain):
    many = pretrain(names=', '.join(f'thing {k}' for k in range(50))).config  # longer than a path may be
    assert len(Config.fromfile(many).model.text.vocabulary) == 50
    given = pretrain(names=('cat', 'red panda')).config
    assert Config.fromfile(given).model.text.vocabulary == ['cat', 'red panda']


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(images='/nowhere'), '--images expects a folder'),
        (dict(images='~nobody_at_all/x'), 'not a valid path'),
        (dict(images='EMPTY'), 'or its sub-folders ends with .jpg'),
        (dict(batch_size=100), 'has 12 images, but a step needs 100'),
        (dict(names='/nowhere.txt'), 'and no set of that name'),
        (dict(names=dict(union=['cat', 'dog'])), 'cat,red panda'),  # --names cat dog
        (dict(names='TWICE'), 'twice, as lines 1 and 2'),
        (dict(names='NONE'), 'holds no names'),
        (dict(names='ONE'), "a single class name, 'cat'"),
        (dict(names='PIPE'), 'is a pipe or a device'),
        (dict(names='EMPTY'), 'is a folder'),
        (dict(names=[]), 'holds no names'),
        (dict(names=['coco', 'NONE.txt']), 'dict(union='),
        (dict(teacher='RN51'), "open_clip has no model 'RN51'"),
        (dict(teacher='RN50:opnai'), "neither a file nor a tag of 'RN50'"),
        (dict(teacher='RN50:openai:nothing.pt'), "There is no file '"),
        (dict(teacher='ViT-H-14'), 'give ViT-H-14:TAG with one of laion2b'),
        (dict(teacher='local-dir:/nowhere'), 'folder with open_clip_config.json'),
        (dict(recipe='papers'), "There is no recipe 'papers'"),
        (dict(student='resnet19'), "There is no student 'resnet19'"),
        (dict(bad_images='skipp'), "expected 'skip' or 'raise'"),
        (dict(views=4), '--views 4 needs a teacher store'),
    ],
)
def test_bad_input_is_named_before_anything_is_written(pretrain, tmp_path, options, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'twice.txt').write_text('cat\ncat\n')
    (tmp_path / 'none.txt').write_text('\n')
    (tmp_path / 'one.txt').write_text('cat\n')
    os.mkfifo(tmp_path / 'pipe')
    places = dict(EMPTY='empty', TWICE='twice.txt', NONE='none.txt', ONE='one.txt', PIPE='pipe')
    given = {key: tmp_path / places[value] if str(value) in places else value for key, value in options.items()}
    with pytest.raises(MMLGDError) as caught:
        pretrain(**given)
    assert message in str(caught.value)
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('given, written', [('RN50:openai:a.pt', 'openai:DIR/a.pt'), ('RN50:a.pt', 'DIR/a.pt')])
def test_weights_in_a_file_are_written_with_their_place(given, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.pt').touch()
    expected = dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained=written.replace('DIR', str(tmp_path)))
    assert teacher_settings(given) == expected


NUMBERS = dict(seed=2**32, views=2**40, size=2**40, workers=10_000, epochs=2**40, gpus=0)


@pytest.mark.parametrize('option', [*NUMBERS, 'seed=-1', 'batch_size'])
def test_a_number_beyond_all_use_is_refused(pretrain, tmp_path, option):
    name, _, value = option.partition('=')
    with pytest.raises(ConfigError) as caught:
        pretrain(**{name: int(value) if value else NUMBERS.get(name, 2**30)})
    assert f'--{name.replace("_", "-")}' in str(caught.value) and not (tmp_path / 'work_dirs').exists()
    assert name != 'batch_size' or 'give --batch-size 12 or less' in str(caught.value)  # as many as there are images


def test_more_cards_than_there_are_train_nothing(pretrain, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    with pytest.raises(ConfigError, match='torch finds 1'):
        pretrain(gpus=2, dry_run=False)
    assert not (tmp_path / 'work_dirs').exists()
    assert pretrain(gpus=2).config.is_file()  # a config may be written where the cards are not


@pytest.mark.parametrize('count, gpus, batch', [(12, 100, 256), (12, 6, 4), (12, 1, 100), (3, 2, 2), (1, 1, 2)])
def test_the_advice_about_few_images_works(tmp_path, count, gpus, batch):
    for k in range(count):
        (tmp_path / f'{k}.jpg').touch()
    found = count_images(tmp_path, 10_000)
    assert found == count
    with pytest.raises(ConfigError, match=f'has {count} images') as caught:
        check_step(tmp_path, found, batch, gpus)
    advice = dict(re.findall(r'--(gpus|batch-size) (\d+)', str(caught.value).split('card(s)): ')[1]))
    assert advice or 'a step needs at least 2' in str(caught.value)
    if advice:
        check_step(tmp_path, found, int(advice['batch-size']), int(advice.get('gpus', gpus)))


ODD = ['it\'s "both"', '{a} {{b}} $HOME', "back\\slash',open('ran','w'),'"]


@pytest.mark.parametrize('name', ODD)
def test_odd_names_of_folders_are_those_that_train(pretrain, images, tmp_path, name):
    place = tmp_path / name
    folder = place / 'images'
    folder.mkdir(parents=True)
    (place / 'names.txt').write_text('cat\ndog\n')
    for k in range(4):
        (folder / f'{k}.png').touch()
    pretrain(images=folder, names=place / 'names.txt', work_dir=place / 'run')
    cfg = Config.fromfile(place / 'run/recipe/pretrain.py')
    cfg.dump(place / 'dumped.py')  # as mmengine does for each run
    for read in (cfg, Config.fromfile(place / 'dumped.py')):
        assert (read.train_dataloader.dataset.data_root, read.work_dir) == (str(folder), str(place / 'run'))
        assert read.model.text.vocabulary == str(place / 'names.txt')
    assert not (tmp_path / 'ran').exists()


TEMPLATES = ["{{$NOVAR:',open('ran','w'),'}}", '{{ fileBasename }}', '{{_base_.epochs}}']


@pytest.mark.parametrize('name', TEMPLATES)
@pytest.mark.parametrize('option', ['images', 'names', 'teacher', 'work_dir', 'store'])
def test_names_that_mmengine_would_substitute_are_refused(pretrain, tiny_clip, tmp_path, option, name):
    place = tmp_path / name
    place.mkdir()
    if option == 'images':
        for k in range(4):
            (place / f'{k}.png').touch()
    elif option == 'names':
        (place / 'names.txt').write_text('cat\ndog\n')
    elif option == 'teacher':
        (place / 'open_clip_config.json').write_text((Path(tiny_clip[10:]) / 'open_clip_config.json').read_text())
    given = dict(names=place / 'names.txt', teacher=f'local-dir:{place}').get(option, place)
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob('*')}
    with pytest.raises(ConfigError, match='mmengine substitutes what starts with') as caught:
        pretrain(**{option: given})
    assert f'--{option.replace("_", "-")}' in str(caught.value)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob('*')} == before


def test_a_folder_whose_name_is_no_utf_8(pretrain, images, names, tmp_path):
    """The run then has such a name, too."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b'/photos_\xff'))
    shutil.copytree(images, folder)
    file = pretrain(images=folder).config
    cfg = Config.fromfile(file)
    assert cfg.train_dataloader.dataset.data_root == str(folder)
    assert cfg.work_dir == str(file.resolve().parents[1]) and folder.name in cfg.work_dir
    assert pretrain(images=folder).config == file


def test_an_edited_config_stays(pretrain, tmp_path):
    file = pretrain().config
    file.write_text(file.read_text() + "model['loss'] = dict(alpha=0.3)\n")
    with pytest.raises(
        FileExistsError,
        match=r'config of another run \(or has been edited\): its line \d+ is `model.*alpha=0.3.*`, and',
    ):
        pretrain()
    assert 'alpha=0.3' in file.read_text()
    # What was typed is part of the advice, and a run that is to go on keeps its config.
    with pytest.raises(FileExistsError, match=f'mmlgd.cli train {file} --resume$'):
        pretrain(resume=True)
    with pytest.raises(ConfigError, match='give only one'):
        pretrain(resume=True, overwrite=True)
    assert 'alpha=0.3' in file.read_text()
    (file.parents[1] / 'epoch_1.pth').touch()
    pretrain(overwrite=True)
    assert 'alpha=0.3' not in file.read_text()
    assert checkpoints_of(file.parents[1]) == []  # of another config, whenever the new run is stopped


def test_a_config_that_trained_nothing_makes_room_for_a_corrected_one(pretrain):
    """A first call may end before its first checkpoint: the weights of its teacher are not there, for example."""
    file = pretrain(seed=1).config
    assert 'seed=2' in pretrain(seed=2).config.read_text()
    for name in ('epoch_1.pth', 'best_accuracy_top1_epoch_1.pth'):
        (file.parents[1] / name).touch()
        with pytest.raises(FileExistsError, match='config of another run'):
            pretrain(seed=1)
        assert 'seed=2' in file.read_text()
        (file.parents[1] / name).unlink()


def test_a_config_stays_until_the_training_has_read_it(pretrain, monkeypatch):
    """The training is a process of its own, which takes seconds to start and only then locks the work dir."""
    ends = []

    def start(command):
        for options in (dict(seed=2), dict(seed=1, overwrite=True), dict(seed=1)):
            other = multiprocessing.get_context('fork').Process(target=pretrain, kwargs=options)
            other.start()
            other.join()
            ends.append(other.exitcode)
        return 0

    monkeypatch.setattr(module, 'run', start)
    assert 'seed=1' in pretrain(seed=1, dry_run=False).config.read_text()
    assert ends == [1, 1, 0]  # the same command, which shows the config, changes nothing
    assert 'seed=2' in pretrain(seed=2).config.read_text()


def hold(folder, mark):
    with sole_writer(folder):
        mark.touch()
        time.sleep(60)


def test_the_config_of_a_run_that_is_going_on_stays(pretrain, tmp_path):
    before = pretrain(work_dir='run').config.read_text()
    first = multiprocessing.get_context('fork').Process(target=hold, args=(tmp_path / 'run', tmp_path / 'mark'))
    first.start()
    while not (tmp_path / 'mark').exists():
        assert first.is_alive()
        time.sleep(0.02)
    try:
        with pytest.raises(RuntimeError, match="Another run writes to 'run'"):
            pretrain(overwrite=True, work_dir='run', epochs=7)
        assert (tmp_path / 'run/recipe/pretrain.py').read_text() == before
        pretrain(work_dir='run')  # the same one is only read
    finally:
        first.kill()
        first.join()
    pretrain(overwrite=True, work_dir='run', epochs=7)


def test_a_work_dir_that_was_moved_is_gone_on_with(pretrain, tmp_path):
    pretrain(work_dir='run')
    (tmp_path / 'run').rename(tmp_path / 'moved')
    config = tmp_path / 'moved/recipe/pretrain.py'
    with pytest.raises(ConfigError, match=f'was it moved or copied.*--work-dir {tmp_path}/moved'):
        refuse_moved(config, Config.fromfile(config).work_dir)
    pretrain(work_dir='moved')
    assert Config.fromfile(config).work_dir == str(tmp_path / 'moved')
    refuse_moved(config, str(tmp_path / 'moved'))
    config.write_text(config.read_text() + "model['loss'] = dict(alpha=0.3)\n")
    with pytest.raises(FileExistsError):
        pretrain(work_dir='moved')


def test_it_runs_the_tools_and_fails_as_they_do(pretrain, monkeypatch):
    commands = []
    monkeypatch.setattr(module, 'run', lambda command: commands.append(command) or 7)
    with pytest.raises(RunError, match='ended with exit code 7'):
        pretrain(resume='here.pth', amp=True, dry_run=False)
    ((*command, config, resume, file, amp),) = commands
    assert command == [sys.executable, '-m', 'mmlgd.cli', 'train']
    options = [resume, file, amp]
    assert options == ['--resume', 'here.pth', '--amp'] and Path(config).is_file()


def test_several_cards_and_a_store(tmp_path):
    store, train = module.commands_of(tmp_path / 'c.py', 2, tmp_path / 'store', 4, ['--amp'])
    assert store[1:3] == train[1:3] == ['-m', 'torch.distributed.run'] and '--nproc_per_node=2' in store
    assert store[-6:] == ['--views', '4', '--out', str(tmp_path / 'store'), '--launcher', 'pytorch']
    assert train[-5:] == ['--launcher', 'pytorch', '--store', str(tmp_path / 'store'), '--amp']


PLAIN = {'model.text.templates': 'plain'}


def test_a_store_of_a_dense_run_keeps_the_places_of_the_teacher(pretrain, tmp_path):
    store = tmp_path / 'store'
    result = pretrain(dense=True, recipe='paper', store=store, cfg_options=PLAIN)
    assert result.commands[0][5:] == ['--places', 'own', '--views', '8', '--out', str(store)]
    write_store(Config.fromfile(result.config), store, views=1, places='own')
    assert len(pretrain(dense=True, recipe='paper', store=store, cfg_options=PLAIN).commands) == 1
    (store / 'shards/00000.crc32').unlink()  # a writer that was stopped goes on with the same grid
    command = pretrain(dense=True, recipe='paper', store=store, cfg_options=PLAIN).commands[0]
    assert command[5:] == [
        '--seed',
        '0',
        '--places',
        '2x2',
        '--places-form',
        'embeddings',
        '--views',
        '1',
        '--out',
        str(store),
    ]


def test_a_store_is_written_until_it_is_complete_and_keeps_its_views(pretrain, names, tmp_path):
    """By views and seed of the store, if there is one."""
    store = tmp_path / 'store'
    file = pretrain(cfg_options=PLAIN).config

    def commands(views=None):
        return [command[5:] for command in module.commands_of(file, 1, store, views, [])]

    assert commands()[0] == ['--views', '8', '--out', str(store)]
    write_store(Config.fromfile(file), store, views=2, seed=3)
    assert commands(2) == [['--store', str(store)]]
    names.write_text('zebra\nhorse\n')  # the teacher behind the store embeds them
    written = ['--seed', '3', '--views', '2', '--out', str(store)]
    assert commands() == [['--store', str(store)]]
    with pytest.raises(MMLGDError, match='--views 4 .* has 2 views .* Leave --views out'):
        pretrain(store=store, views=4, cfg_options=PLAIN)
    (store / 'shards/00000.crc32').unlink()  # a writer that was stopped goes on with its views
    assert commands()[0] == written


TINY = {'model.backbone.base_channels': 8, 'model.backbone.stem_channels': 8, 'model.text.templates': ['a {}']}


@pytest.fixture
def in_this_process(monkeypatch):
    """A new one takes seconds to import the stack; tests/test_packaging.py has one, by the installed command."""
    monkeypatch.setattr(module, 'run', lambda command: main(command[3:], standalone_mode=False) or 0)


def test_it_trains(pretrain, in_this_process, images, tmp_path):
    shutil.copytree(images, tmp_path / 'others')  # with a class folder for each of the three names
    result = pretrain(cfg_options=TINY, epochs=1, work_dir='run', val='others', dry_run=False)
    assert {'accuracy/top1', 'teacher_accuracy/top1', 'distillation/agreement'} <= set(result.figures)
    assert 0 <= result.figures['agreement'] <= 100 and 1 <= result.figures['effective_classes'] <= 3
    (log,) = (file.read_text() for file in (tmp_path / 'run').rglob('*.log'))
    assert 'the student agrees with its teacher on' in log[log.index('Done: ') :]
    assert result.checkpoint == Path('run/epoch_1.pth') and (tmp_path / 'run' / 'curves.png').is_file()
    assert result.figures['loss'] > 0 and 0 < result.figures['bank/visited'] <= 1
    # The evaluation has the same size, which the checkpoint then says too.
    config = model_config(read_checkpoint(result.checkpoint))
    assert evaluation_pipeline(config)[2]['crop_size'] == image_size(config) == (64, 64)


def test_it_trains_past_every_kind_of_bad_image(pretrain, in_this_process, tmp_path):
    bad, unusual = bad_files(), unusual_files()
    (tmp_path / 'mixed').mkdir()
    for name, content in {**bad, **{name: content for name, (content, _) in unusual.items()}}.items():
        (tmp_path / 'mixed' / name).write_bytes(content)
    settings = dict(images=tmp_path / 'mixed', epochs=2, workers=2, work_dir='run', batch_size=8)
    pretrain(**settings, max_bad_images=len(bad), cfg_options=TINY, dry_run=False)
    (log,) = (file.read_text() for file in (tmp_path / 'run').rglob('*.log'))
    told = re.findall(r'Bad image left out: (\S+): ', log)
    assert {Path(path).name for path in told} <= set(bad) and len(told) == len(set(told))
    counted, images = map(int, re.search(r'(\d+) of (\d+) images were bad and left out\.', log).groups())
    assert counted == len(told) and images == len(bad) + len(unusual)
    assert counted >= len(bad) - 2  # the last batch of an epoch, which is not whole, is dropped


@pytest.mark.parametrize('value, message', [('', 'is empty'), (['a'], 'no.* a valid path'), (None, 'a valid path')])
def test_what_is_no_path_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        path_of(value)


def test_options_of_another_type_are_refused(pretrain):
    with pytest.raises(ConfigError, match='cannot be merged into the config'):
        pretrain(cfg_options=['a=b'])


@pytest.mark.parametrize(
    'options, said',
    [
        ({'model.backbone.depth': 7}, 'depth'),  # no such ResNet
        ({'optim_wrapper.optimizer.lr': -1.0}, 'Invalid learning rate: -1.0'),
        ({'model.loss.student_temperature': -1.0}, 'student_temperature'),
        ({'modle.backbone.depth': 18}, 'Did you mean model'),
        ({'train_dataloader.sampler.type': 'RepeatAugSampler'}, 'which chooses images itself'),
        ({'default_hooks.checkpoint.save_best': 'teacher_accuracy/top1'}, 'no teacher sees the evaluation images'),
    ],
)
def test_what_training_would_refuse_is_said_before_a_store_is_written(pretrain, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        pretrain(store=tmp_path / 'store', recipe='small-data', cfg_options={**PLAIN, **options})
    assert not (tmp_path / 'store').exists() and not (tmp_path / 'work_dirs').exists()


def test_the_options_reach_the_writer_of_a_store_and_the_training(pretrain, tmp_path):
    options = {**PLAIN, 'train_dataloader.dataset.crop': [0.5, 1.0], 'model.backbone.frozen_stages': 1}
    writer, training = pretrain(store=tmp_path / 'store', cfg_options=options).commands
    assert writer[3] == 'store' and training[3] == 'train' and writer[4] == training[4]  # one config for both
    cfg = Config.fromfile(writer[4])
    assert cfg.train_dataloader.dataset.crop == [0.5, 1.0] and cfg.model.backbone.frozen_stages == 1


def test_other_line_ends_are_an_edit(pretrain):
    file = pretrain().config
    file.write_text(file.read_text().rstrip())
    with pytest.raises(FileExistsError, match='has been edited.: it has other line ends'):
        pretrain()


def test_a_trained_run_is_not_trained_anew_without_a_word(pretrain, monkeypatch):
    place = 'mmlgd.checkpoints.resume.last_whole_checkpoint'
    monkeypatch.setattr(place, lambda folder, *words: folder / 'epoch_2.pth')
    monkeypatch.setattr('mmlgd.run.pretrain.run', lambda command: pytest.fail('it trains'))
    with pytest.raises(FileExistsError, match='has trained already: .*epoch_2.pth. Go on from it by --resume'):
        pretrain(dry_run=False)
    monkeypatch.setattr('mmlgd.run.pretrain.run', lambda command: 0)
    for option in ('resume', 'overwrite'):
        assert pretrain(dry_run=False, **{option: True}).checkpoint.name == 'epoch_2.pth'


def test_a_run_whose_checkpoints_are_damaged_is_trained_anew_by_overwrite_alone(pretrain, monkeypatch):
    (pretrain().work_dir / 'epoch_2.pth').touch()
    monkeypatch.setattr('mmlgd.run.pretrain.run', lambda command: pytest.fail('it trains'))
    with pytest.raises(CheckpointError, match='epoch_2.pth is cut off.*or train anew by --overwrite'):
        pretrain(dry_run=False)
