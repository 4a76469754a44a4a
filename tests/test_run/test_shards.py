"""Runs on images in shards: what a user types, what is written; it trains, stops and goes on as with a folder."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from mmengine.config import Config

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.cli.__main__ import main
from mmlgd.errors import MMLGDError
from tests import ROOT, children
from tests.shards import pack_photos

pytestmark = children.in_one_worker
RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
NAMES = ['cat', 'dog', 'tree']


@pytest.fixture(scope='module')
def packed(tmp_path_factory):
    """The pattern of three shards of four images."""
    return pack_photos(tmp_path_factory.mktemp('packed') / 'data')


@pytest.fixture
def pretrain(packed, tiny_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(**options):
        given = dict(images=packed, names=NAMES, teacher=tiny_clip, batch_size=4, size=64, workers=0, dry_run=True)
        return mmlgd.pretrain(**{**given, **options})

    return call


@pytest.mark.parametrize('is_folder', [False, True], ids=['pattern', 'folder'])
def test_the_config_of_a_pretraining_has_the_shards(pretrain, packed, is_folder, tmp_path):
    given = str(Path(packed).parent) if is_folder else packed
    result = pretrain(images=given)
    dataset = Config.fromfile(result.config).train_dataloader.dataset
    assert (dataset.type, dataset.data_root) == ('mmlgd.ImageShards', given)
    assert (dataset.bad_images, dataset.size, dataset.with_label) == ('skip', 64, False)
    assert result.work_dir == Path('work_dirs', f'lgd_resnet18_{"data" if is_folder else "train"}')


def test_a_relative_pattern_is_written_with_its_place(pretrain, packed, tmp_path):
    shutil.copytree(Path(packed).parent, tmp_path / 'here')
    dataset = Config.fromfile(pretrain(images='here/train-{000000..000001}.tar').config).train_dataloader.dataset
    assert dataset.data_root == f'{tmp_path}/here/train-{{000000..000001}}.tar'


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(images='https://host/{0..9}.tar'), 'not on this machine'),
        (dict(images='s3://bucket/train'), 'not on this machine'),
        (dict(images='nowhere-{0..9}.tar'), '10 of 10 shards'),
        (dict(images='cut.tar'), 'cut.tar cannot be used: it is cut off'),
        (dict(images='packed.tar.gz'), 'is compressed'),
        (dict(images='data', work_dir='data/run'), 'lies in the folder of images'),
        (dict(batch_size=100), 'has 12 images, but a step needs 100'),
    ],
)
def test_bad_input_is_named_before_anything_is_written(pretrain, packed, tmp_path, options, message):
    shutil.copytree(Path(packed).parent, tmp_path / 'data')
    whole = (tmp_path / 'data/train-000000.tar').read_bytes()
    (tmp_path / 'cut.tar').write_bytes(whole[:3000])
    (tmp_path / 'packed.tar.gz').write_bytes(b'\x1f\x8b\x08' + bytes(100))
    with pytest.raises(MMLGDError, match=message):
        pretrain(**options)
    assert not (tmp_path / 'work_dirs').exists() and not (tmp_path / 'data/run').exists()


def test_a_pattern_without_quotes(packed):
    """The shell then gives the shards one by one."""
    first, second = (packed.replace('{000000..000002}', f'00000{k}') for k in range(2))
    result = CliRunner().invoke(main, ['pretrain', '--images', first, second, '--names', 'coco'])
    assert result.exit_code == 2 and 'quotes' in result.output


@pytest.fixture(scope='module')
def recipe(recipe_of, packed, tmp_path_factory):
    file = tmp_path_factory.mktemp('config') / 'mine.py'
    file.write_text(
        recipe_of(RECIPE)
        + f"train_dataloader['dataset'].update(type='mmlgd.ImageShards', data_root=r'{packed}')\n"
        + "train_dataloader['num_workers'] = 2\n"
        + 'val_cfg = val_dataloader = val_evaluator = None\n'
    )
    return file


def losses(work_dir):
    """Of each step, as it was last logged: resumed runs have a log each."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return {record['step']: record['loss'] for record in records if 'loss' in record}


def test_a_run_that_was_killed_is_the_unbroken_run(recipe, tmp_path):
    def train(name, *arguments, fault=()):
        arguments = [recipe, '--work-dir', tmp_path / name, *arguments]
        return children.run(children.verb, 'train', arguments, *fault, log=tmp_path / f'{name}.log')

    assert train('unbroken')[0] == 0
    code, _ = train('run', fault=(children.at_step, 4, children.die))
    assert code == -9 and (tmp_path / 'run/epoch_1.pth').is_file()
    code, log = train('run', '--resume')
    assert code == 0 and 'resumed epoch: 1, iter: 3' in log and 'No image of 12 was bad.' in log
    expected = losses(tmp_path / 'unbroken')
    assert list(expected) == [1, 2, 3, 4, 5, 6]
    assert losses(tmp_path / 'run') == pytest.approx(expected, rel=1e-6)
    saved = read_checkpoint(tmp_path / 'run/epoch_2.pth')['message_hub']['runtime_info']['mmlgd_steps']
    assert saved['count'] == 12 and saved['steps'] == 3


def test_the_reports_before_a_training_read_shards(packed, tiny_clip, tmp_path):
    common = dict(teacher=tiny_clip, templates='plain', images=packed)
    asked = mmlgd.ask_teacher(names=NAMES, out=tmp_path / 'teacher', max_images=7, **common)
    assert asked.images == sum(asked.answers.values()) == 7 and asked.accuracy is None
    each = json.loads((tmp_path / 'teacher/answers.json').read_text())['each']
    assert each[-1]['image'].endswith('data/train-000002.tar/000011.jpg')
    assert mmlgd.ask_teacher(
        names=NAMES, out=tmp_path / 'of_a_folder', **dict(common, images=Path(packed).parent)
    ).images
    assert mmlgd.report_names(NAMES, out=tmp_path / 'names', **common).images == 12
