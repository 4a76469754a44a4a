"""``mmlgd pretrain``: the config that it writes, what it refuses, and what it runs."""

import multiprocessing
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from mmengine.config import Config

from mmlgd.checkpoints import model_config, read_checkpoint
from mmlgd.cli import pretrain as module
from mmlgd.cli.__main__ import main
from mmlgd.cli.pretrain import SETS, check_pictures, config_text, tool_commands
from mmlgd.errors import ConfigError
from mmlgd.store.views import MOST_VIEWS
from mmlgd.store.writer import write_store
from mmlgd.student.image_size import evaluation_pipeline, image_size
from mmlgd.text import list_vocabularies
from mmlgd.utils.files import sole_writer
from mmlgd.utils.seeds import MOST_SEED
from tests import ROOT
from tests.bad_pictures import bad_files, unusual_files


@pytest.fixture
def names(tmp_path):
    file = tmp_path / 'names.txt'
    file.write_text('cat\ndog\ntree\n')
    return file


@pytest.fixture
def pretrain(pictures, names, tiny_clip, tmp_path, monkeypatch):
    """Call the command with defaults that a test can have another of."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, **options):
        given = dict(images=pictures, names=names, teacher=tiny_clip, batch_size=4, size=64, workers=0)
        given.update(options)
        flags = [x for key, value in given.items() for x in (f'--{key.replace("_", "-")}', str(value))]
        return CliRunner().invoke(main, ['pretrain', *flags, *map(str, arguments)])

    return call


def test_a_dry_run_writes_and_prints_an_ordinary_config(pretrain, pictures, names, tmp_path):
    result = pretrain('--dry-run', epochs=20, batch_size=8, seed=3)
    assert result.exit_code == 0, result.output
    file = tmp_path / 'work_dirs' / f'lgd_resnet18_{pictures.name}' / 'recipe' / 'pretrain.py'
    assert file.read_text() in result.output and 'tools/train.py' in result.output
    cfg = Config.fromfile(file)
    assert cfg.model.backbone.type == 'mmpretrain.ResNet' and cfg.model.text.vocabulary == str(names)
    assert cfg.model.teacher.model.startswith('local-dir:') and 'pretrained' not in cfg.model.teacher
    assert cfg.train_dataloader.dataset.data_root == str(pictures.resolve())
    assert cfg.train_dataloader.dataset.pipeline[2].size == 64
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.03 * 8 / 256)
    assert (cfg.train_cfg.max_epochs, cfg.randomness.seed, cfg.auto_scale_lr.base_batch_size) == (20, 3, 8)
    assert cfg.work_dir == str(file.parents[1])
    assert not list(file.parents[1].glob('*.pth'))


@pytest.mark.parametrize('epochs', [1, 3, 4, 90, 200])
@pytest.mark.parametrize('student', ['resnet18', 'mobilenetv2'])
def test_the_schedule_fills_the_run(student, epochs, tmp_path):
    settings = dict(epochs=epochs, batch_size=256, size=224, workers=8, seed=0, **module.BAD_PICTURES)
    file = tmp_path / 'config.py'
    file.write_text(config_text(tmp_path, 'coco', student, dict(type='mmlgd.ConSETeacher'), 2, settings))
    cfg = Config.fromfile(file)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == epochs
    assert cfg.param_scheduler[-1].T_max + cfg.param_scheduler[-1].begin == epochs
    assert cfg.param_scheduler[0].begin == 0 and (len(cfg.param_scheduler) == 1) == (epochs < 4)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.06)  # two cards
    assert cfg.model.text.templates == 'plain' and 'pretrained' not in cfg.model.teacher
    assert ('MobileNet' in cfg.model.backbone.type) == (student == 'mobilenetv2')


@pytest.mark.parametrize(
    'options, policy, most',
    [
        ({}, 'skip', 0.01),
        (dict(bad_pictures='raise'), 'raise', 0.01),
        (dict(max_bad_pictures='2.5%'), 'skip', 0.025),
        (dict(max_bad_pictures=20, bad_pictures='skip'), 'skip', 20),
    ],
)
def test_what_becomes_of_bad_pictures(pretrain, tmp_path, options, policy, most):
    assert pretrain('--dry-run', **options).exit_code == 0
    (file,) = (tmp_path / 'work_dirs').rglob('pretrain.py')
    dataset = Config.fromfile(file).train_dataloader.dataset
    assert dataset.type == 'mmlgd.Pictures'
    assert (dataset.bad_pictures, dataset.max_bad_pictures) == (policy, most)
    assert ('bad_pictures' in file.read_text()) == bool(options)


@pytest.mark.parametrize('amount', ['0', '-1', '0%', '100%', '1.5', 'many', 'nan%'])
def test_an_amount_of_bad_pictures_that_is_none_is_refused(pretrain, amount):
    result = pretrain('--dry-run', f'--max-bad-pictures={amount}')
    assert result.exit_code == 2 and 'expected a number of pictures as 20, or a share' in result.output


def test_a_folder_named_like_a_picture_is_not_counted(pretrain, tmp_path):
    (tmp_path / 'some' / 'a.jpg').mkdir(parents=True)
    result = pretrain('--dry-run', images=tmp_path / 'some')
    assert result.exit_code == 1 and 'or its sub-folders ends with .jpg' in result.output


@pytest.mark.parametrize('inside', ['default', 'work_dir', 'store'])
def test_what_would_be_written_into_the_images_is_refused(pretrain, pictures, tmp_path, monkeypatch, inside):
    """Curves of this run would be images of the next one."""
    if inside == 'default':
        (tmp_path / 'photos').symlink_to(pictures)
        monkeypatch.chdir(tmp_path / 'photos')
        result = pretrain('--dry-run', images='.')
    else:
        result = pretrain('--dry-run', **{inside: pictures / 'sub' / 'here'})
    assert result.exit_code == 1 and result.output.startswith('Error: ')
    option = '--store' if inside == 'store' else '--work-dir'
    assert f'lies in the folder of images {pictures}' in result.output and f'{option} {pictures}_' in result.output
    assert not any((pictures / name).exists() for name in ('work_dirs', 'sub'))


def test_what_is_counted_is_what_is_trained(pretrain, pictures, tmp_path):
    (tmp_path / 'some').mkdir()
    (tmp_path / 'some' / 'linked').symlink_to(pictures)
    (tmp_path / 'some' / '._x.jpg').touch()
    (tmp_path / 'some' / 'loop').symlink_to('.')
    result = pretrain('--dry-run', images=tmp_path / 'some', batch_size=100)
    assert 'has 12 pictures, and a step takes 100' in result.output


def test_names_are_joined(pretrain, names, tmp_path):
    result = pretrain('--names', 'coco', '--dry-run')
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / 'work_dirs').rglob('pretrain.py')
    assert Config.fromfile(file).model.text.vocabulary == dict(union=[str(names), 'coco'])


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(images='/nowhere'), '--images takes a folder of pictures'),
        (dict(images='EMPTY'), 'or its sub-folders ends with .jpg'),
        (dict(batch_size=100), 'has 12 pictures, and a step takes 100'),
        (dict(names='/nowhere.txt'), "one of ('in1k'"),
        (dict(names='TWICE'), 'twice, as line 1 and 2'),
        (dict(names='NONE'), 'holds no names'),
        (dict(teacher='RN51'), "open_clip knows no model 'RN51'"),
        (dict(teacher='RN50:opnai'), "neither a file nor a tag of 'RN50'"),
        (dict(teacher='RN50:openai:nothing.pt'), "There is no file '"),
        (dict(teacher='ViT-H-14'), 'give one as ViT-H-14:TAG of laion2b'),
        (dict(teacher='local-dir:/nowhere'), 'takes a folder with open_clip_config.json'),
    ],
)
def test_bad_input_is_named_before_anything_is_written(pretrain, tmp_path, options, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'twice.txt').write_text('cat\ncat\n')
    (tmp_path / 'none.txt').write_text('\n')
    places = dict(EMPTY=tmp_path / 'empty', TWICE=tmp_path / 'twice.txt', NONE=tmp_path / 'none.txt')
    result = pretrain(**{key: places.get(value, value) for key, value in options.items()})
    assert result.exit_code == 1 and message in result.output
    assert result.output.startswith('Error: ')  # no traceback
    assert not (tmp_path / 'work_dirs').exists()


@pytest.mark.parametrize('given, written', [('RN50:openai:a.pt', 'openai:DIR/a.pt'), ('RN50:a.pt', 'DIR/a.pt')])
def test_weights_in_a_file_are_written_with_their_place(given, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.pt').touch()
    expected = dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained=written.replace('DIR', str(tmp_path)))
    assert module.check_teacher(given) == expected


NUMBERS = dict(seed=2**32, views=2**40, size=2**40, workers=10_000, epochs=2**40)


@pytest.mark.parametrize('option', [*NUMBERS, 'seed=-1', 'batch_size'])
def test_a_number_beyond_all_use_is_refused(pretrain, tmp_path, option):
    name, _, value = option.partition('=')
    result = pretrain(**{name: value or NUMBERS.get(name, 2**40)})
    assert f'--{name.replace("_", "-")}' in result.output and not (tmp_path / 'work_dirs').exists()
    if name == 'batch_size':  # as many as there are images
        assert result.exit_code == 1 and 'give --batch-size 12 or less' in result.output
    else:
        assert result.exit_code == 2 and 'is not in the range' in result.output


def test_the_numbers_are_those_of_the_package():
    assert (module.MOST_SEED, module.MOST_VIEWS) == (MOST_SEED, MOST_VIEWS)


def test_more_cards_than_there_are_train_nothing(pretrain, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    result = pretrain(gpus=2)
    assert result.exit_code == 1 and '--gpus 2 takes as many cards, and torch finds 1' in result.output
    assert not (tmp_path / 'work_dirs').exists()
    assert pretrain('--dry-run', gpus=2).exit_code == 0  # a config may be written where the cards are not


@pytest.mark.parametrize('count, gpus, batch', [(12, 100, 256), (12, 6, 4), (12, 1, 100), (3, 2, 2), (1, 1, 2)])
def test_the_advice_about_few_images_works(tmp_path, count, gpus, batch):
    for k in range(count):
        (tmp_path / f'{k}.jpg').touch()
    with pytest.raises(ValueError, match=f'has {count} pictures') as caught:
        check_pictures(tmp_path, batch, gpus)
    advice = dict(re.findall(r'--(gpus|batch-size) (\d+)', str(caught.value).split('card(s)): ')[1]))
    assert advice or 'more images: a step takes 2' in str(caught.value)
    if advice:
        check_pictures(tmp_path, int(advice['batch-size']), int(advice.get('gpus', gpus)))


ODD = ['it\'s "both"', '{a} {{b}} $HOME', "back\\slash',open('ran','w'),'"]


@pytest.mark.parametrize('name', ODD)
def test_odd_names_of_folders_are_those_that_train(pretrain, pictures, tmp_path, name):
    place = tmp_path / name
    images = place / 'images'
    images.mkdir(parents=True)
    (place / 'names.txt').write_text('cat\ndog\n')
    for k in range(4):
        (images / f'{k}.png').touch()
    result = pretrain('--dry-run', images=images, names=place / 'names.txt', work_dir=place / 'run')
    assert result.exit_code == 0, result.output
    cfg = Config.fromfile(place / 'run/recipe/pretrain.py')
    cfg.dump(place / 'dumped.py')  # as mmengine does for each run
    for read in (cfg, Config.fromfile(place / 'dumped.py')):
        assert (read.train_dataloader.dataset.data_root, read.work_dir) == (str(images), str(place / 'run'))
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
    result = pretrain('--dry-run', **{option: given})
    assert result.exit_code == 1 and f'--{option.replace("_", "-")}' in result.output, result.output
    assert 'mmengine substitutes what starts with' in result.output
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob('*')} == before


def test_an_edited_config_stays(pretrain, tmp_path):
    assert pretrain('--dry-run').exit_code == 0
    (file,) = (tmp_path / 'work_dirs').rglob('pretrain.py')
    file.write_text(file.read_text() + "model['loss'] = dict(alpha=0.3)\n")
    result = pretrain('--dry-run')
    assert result.exit_code == 1 and 'is the config of another run (or has been edited)' in result.output
    assert 'alpha=0.3' in file.read_text()
    # What was typed is part of the advice, and a run that is to go on keeps its config.
    result = pretrain('--dry-run', '--', '--resume')
    assert f'tools/train.py {file.relative_to(tmp_path)} --resume\n' in result.output
    result = pretrain('--dry-run', '--overwrite', '--', '--resume')
    assert result.exit_code == 1 and 'give one of them' in result.output and 'alpha=0.3' in file.read_text()
    assert pretrain('--dry-run', '--overwrite').exit_code == 0
    assert 'alpha' not in file.read_text()


def hold(folder, mark):
    with sole_writer(folder):
        mark.touch()
        time.sleep(60)


def test_the_config_of_a_run_that_is_going_on_stays(pretrain, tmp_path):
    assert pretrain('--dry-run', work_dir='run').exit_code == 0
    before = (tmp_path / 'run/recipe/pretrain.py').read_text()
    first = multiprocessing.get_context('fork').Process(target=hold, args=(tmp_path / 'run', tmp_path / 'mark'))
    first.start()
    while not (tmp_path / 'mark').exists():
        assert first.is_alive()
        time.sleep(0.02)
    try:
        result = pretrain('--dry-run', '--overwrite', work_dir='run', epochs=7)
        assert result.exit_code == 1 and "Another run writes to 'run'" in result.output
        assert (tmp_path / 'run/recipe/pretrain.py').read_text() == before
        assert pretrain('--dry-run', work_dir='run').exit_code == 0  # the same one is only read
    finally:
        first.kill()
        first.join()
    assert pretrain('--dry-run', '--overwrite', work_dir='run', epochs=7).exit_code == 0


def test_a_work_dir_that_was_moved_is_gone_on_with(pretrain, tmp_path, tool):
    arguments = tool('arguments')

    def work_dir_of(*given):
        return arguments.read_config(arguments.common_parser('').parse_args([str(config), *given])).work_dir

    assert pretrain('--dry-run', work_dir='run').exit_code == 0
    (tmp_path / 'run').rename(tmp_path / 'moved')
    config = tmp_path / 'moved/recipe/pretrain.py'
    with pytest.raises(ConfigError, match=f'was it moved or copied.*--work-dir {tmp_path}/moved'):
        work_dir_of()
    assert work_dir_of('--work-dir', str(tmp_path / 'run')) == str(tmp_path / 'run')
    assert pretrain('--dry-run', work_dir='moved').exit_code == 0
    assert work_dir_of() == str(tmp_path / 'moved')
    config.write_text(config.read_text() + "model['loss'] = dict(alpha=0.3)\n")
    assert pretrain('--dry-run', work_dir='moved').exit_code == 1


def test_it_runs_the_tools_and_ends_as_they_do(pretrain, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(module, 'run', lambda command: commands.append(command) or 7)
    result = pretrain('--', '--resume')
    assert result.exit_code == 7
    ((python, tool, config, resume),) = commands
    assert python == sys.executable and Path(tool).resolve() == ROOT / 'tools/train.py' and resume == '--resume'
    assert Path(config).is_file()


@pytest.mark.parametrize('sent', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_no_tool_behind(sent):
    tool = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'
    parent = f'import sys; from mmlgd.cli.pretrain import run; sys.exit(run([sys.executable, "-c", {tool!r}]) < 0)'
    command = [sys.executable, '-c', parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        pid = int(process.stdout.readline())
        process.send_signal(sent)
        assert process.wait(30) == (-9 if sent == signal.SIGKILL else 1)  # after its tool, which SIGTERM has ended
    for _ in range(500):  # of a parent that was killed, the tool hears from the system
        if not is_alive(pid):
            return
        time.sleep(0.01)
    raise AssertionError('The tool is still there.')


def test_a_run_below_nohup_outlives_its_terminal():
    tool = 'import sys, time; print(flush=True); time.sleep(0.3); sys.exit(7)'
    parent = f'import sys; from mmlgd.cli.pretrain import run; sys.exit(run([sys.executable, "-c", {tool!r}]))'
    command = ['nohup', sys.executable, '-c', parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 7


def is_alive(pid):
    """One that has ended, and waits for somebody to ask how, is not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def test_several_cards_and_a_store(tmp_path):
    store, train = tool_commands(tmp_path / 'c.py', 2, tmp_path / 'store', 4, ('--amp',))
    assert store[1:3] == train[1:3] == ['-m', 'torch.distributed.run'] and '--nproc_per_node=2' in store
    assert store[-6:] == ['--views', '4', '--out', str(tmp_path / 'store'), '--launcher', 'pytorch']
    assert train[-5:] == ['--launcher', 'pytorch', '--store', str(tmp_path / 'store'), '--amp']


def test_a_store_that_is_complete_is_not_written_again(pretrain, tmp_path):
    assert pretrain('--dry-run').exit_code == 0
    (file,) = (tmp_path / 'work_dirs').rglob('pretrain.py')
    write_store(Config.fromfile(file), tmp_path / 'store', views=1)
    (train,) = tool_commands(file, 1, tmp_path / 'store', 1, ())
    assert train[-2:] == ['--store', str(tmp_path / 'store')]


@pytest.fixture
def written(pretrain, tmp_path):
    """A complete store of two views with a seed of its own, and the config that it was written with."""
    assert pretrain('--dry-run').exit_code == 0
    (file,) = (tmp_path / 'work_dirs').rglob('pretrain.py')
    cfg = Config.fromfile(file)
    cfg.model.text.templates = 'plain'
    write_store(cfg, tmp_path / 'store', views=2, seed=3)
    return file


PLAIN = ('--cfg-options', 'model.text.templates=plain')


def test_a_store_without_the_embeddings_of_the_names_gets_them(written, pretrain, names, tmp_path):
    """By the options of training, views and seed of the store; and then it has all."""
    store = tmp_path / 'store'
    assert len(tool_commands(written, 1, store, None, PLAIN)) == 1
    for options in ((), ('--cfg-options', 'model.text.templates=openai-imagenet-7')):
        writer, train = tool_commands(written, 1, store, None, ('--amp', *options))
        assert writer[3:] == [*options, '--seed', '3', '--views', '2', '--out', str(store)]
        assert train[3:] == ['--store', str(store), '--amp', *options]
    names.write_text('zebra\n')
    writer, _ = tool_commands(written, 1, store, 2, PLAIN)
    cfg = Config.fromfile(written)
    cfg.model.text.templates = 'plain'
    write_store(cfg, store, views=2, seed=3)
    assert len(tool_commands(written, 1, store, 2, PLAIN)) == 1


def test_another_number_of_views_than_the_store_s_is_refused(written, pretrain, tmp_path):
    result = pretrain('--store', tmp_path / 'store', '--dry-run', views=4)
    assert result.exit_code == 1 and '--views 4, and the teacher store in' in result.output
    assert 'has 2 views of each image' in result.output and 'Leave --views out' in result.output
    (tmp_path / 'store/shards/00000.crc32').unlink()  # a writer that was stopped goes on with its views
    result = pretrain('--store', tmp_path / 'store', '--dry-run')
    assert '--seed 3 --views 2 --out' in result.output
    assert '--views 8 --out' in pretrain('--store', tmp_path / 'new', '--dry-run').output
    result = pretrain('--dry-run', views=4)
    assert result.exit_code == 1 and '--views 4 is of a teacher store' in result.output


def test_the_sets_are_those_of_the_package():
    assert sorted(SETS) == list_vocabularies()


def test_completion_offers_sets_and_files():
    (option,) = (p for p in module.pretrain.params if p.name == 'names')
    items = option.type.shell_complete(None, option, 'co')
    assert [(item.value, item.type) for item in items] == [('coco', 'plain'), ('co', 'file')]


def test_help_teaches():
    for arguments in (['--help'], ['pretrain', '--help'], ['doctor', '-h']):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0 and 'mmlgd' in result.output
    lines = CliRunner().invoke(main, ['--help']).output.splitlines()
    assert '  eval "$(_MMLGD_COMPLETE=bash_source mmlgd)"'.strip() in map(str.strip, lines)  # a line of its own


@pytest.mark.slow
def test_it_trains(pretrain, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    options = ['model.backbone.base_channels=8', 'model.backbone.stem_channels=8', 'model.neck.in_channels=64']
    result = pretrain('--', '--cfg-options', *options, "model.text.templates=['a {}']", epochs=1, work_dir='run')
    assert result.exit_code == 0, result.output
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file() and (tmp_path / 'run' / 'curves.png').is_file()
    assert image_size(model_config(read_checkpoint(tmp_path / 'run' / 'epoch_1.pth'))) == (64, 64)
    # With an evaluation beside the recipe: at the same size, which the checkpoint then says too.
    val = ROOT / 'configs/_base_/datasets/unlabelled_val.py'
    (tmp_path / 'watched.py').write_text(
        f"_base_ = [r'{tmp_path}/run/recipe/pretrain.py', r'{val}']\n"
        'val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)\n'
    )
    monkeypatch.setenv('MMLGD_VAL', str(pictures))
    command = [sys.executable, str(ROOT / 'tools/train.py'), 'watched.py', '--work-dir', 'watched', '--cfg-options']
    run = subprocess.run([*command, *options, "model.text.templates=['a {}']"], capture_output=True, text=True)
    assert run.returncode == 0 and 'distillation/agreement' in run.stdout + run.stderr, run.stderr
    config = model_config(read_checkpoint(tmp_path / 'watched' / 'epoch_1.pth'))
    assert evaluation_pipeline(config)[2]['crop_size'] == image_size(config) == (64, 64)


@pytest.mark.slow
def test_it_trains_past_every_kind_of_bad_picture(pretrain, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    bad, unusual = bad_files(), unusual_files()
    (tmp_path / 'mixed').mkdir()
    for name, content in {**bad, **{name: content for name, (content, _) in unusual.items()}}.items():
        (tmp_path / 'mixed' / name).write_bytes(content)
    options = ['model.backbone.base_channels=8', 'model.backbone.stem_channels=8', 'model.neck.in_channels=64']
    settings = dict(
        images=tmp_path / 'mixed', epochs=2, workers=2, work_dir='run', batch_size=8, max_bad_pictures=len(bad)
    )
    result = pretrain('--', '--cfg-options', *options, "model.text.templates=['a {}']", **settings)
    assert result.exit_code == 0, result.output
    (log,) = (file.read_text() for file in (tmp_path / 'run').rglob('*.log'))
    told = re.findall(r'Bad picture left out: (\S+): ', log)
    assert {Path(path).name for path in told} <= set(bad) and len(told) == len(set(told))
    counted, pictures = map(int, re.search(r'(\d+) of (\d+) pictures were bad and left out\.', log).groups())
    assert counted == len(told) and pictures == len(bad) + len(unusual)
    assert counted >= len(bad) - 2  # the last batch of an epoch, which is not whole, is dropped
