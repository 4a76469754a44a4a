"""A folder is what it holds; anything else is refused by what was expected."""

import json

import pytest
import torch

from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import ConfigError, MissingFileError, MMLGDError
from mmlgd.pages.folders import read_folder
from mmlgd.pages.results import Comparison, Evaluation, Proof, Study
from mmlgd.pages.training import Training

from .conftest import HEAD


def test_each_kind_of_folder(work_dir, evaluated, compared, proven, studied):
    assert isinstance(read_folder(work_dir()), Training)
    assert isinstance(read_folder(evaluated()).found, Evaluation)
    assert isinstance(read_folder(compared({'random': {'0': 1.0}})).found, Comparison)
    assert isinstance(read_folder(compared({'verdict': {'0': 1.0}}, 'odd')).found, Comparison)
    assert isinstance(read_folder(proven()).found, Proof)
    assert isinstance(read_folder(studied).found, Study)


def test_other_folders_are_refused(tmp_path, work_dir):
    with pytest.raises(MissingFileError, match='no folder at'):
        read_folder(tmp_path / 'nothing')
    with pytest.raises(ConfigError, match='no folder that a report knows. Expected the work dir of `mmlgd pretrain`'):
        read_folder(tmp_path)
    (tmp_path / 'random_seed0').mkdir()
    (tmp_path / 'random_seed0/started.json').touch()
    with pytest.raises(ConfigError, match='no table yet: 1 of its runs have begun. Give that command once more'):
        read_folder(tmp_path)
    downstream = work_dir()
    (config,) = downstream.glob('*/vis_data/config.py')
    config.write_text("model = dict(type='mmdet.ATSS')")
    with pytest.raises(ConfigError, match='a training of ATSS, expected a pre-training'):
        read_folder(downstream)


@pytest.mark.parametrize(
    'content',
    [
        '{"random": {"0": NaN}}',
        '{"results": {}}',
        '{"random": {"0": "ten"}}',
        '{"random": [1]}',
        '[]',
        '{}',
        '{"results": {"a": {"knn": 1}}}',
        '{"random": {}}',
    ],
)
def test_a_damaged_table_is_named(compared, content):
    folder = compared({})
    (folder / 'table.json').write_text(content)
    with pytest.raises(ConfigError, match='is not what `mmlgd (compare|evaluate)` writes'):
        read_folder(folder)


def test_a_table_that_is_cut_off_may_be_of_any_command(compared):
    folder = compared({})
    (folder / 'table.json').write_text('{"data"')
    with pytest.raises(ConfigError, match='table.json is damaged.*Run the command that writes it again'):
        read_folder(folder)


def test_a_config_in_a_log_is_never_run(work_dir, tmp_path):
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(f"open({str(tmp_path / 'proof')!r}, 'w')\nmodel = dict(type='mmlgd.LGD')")
    with pytest.raises(MMLGDError, match='not plain settings'):
        read_folder(folder)
    assert not (tmp_path / 'proof').exists()


@pytest.mark.parametrize('part', ['train_dataloader', 'randomness'])
def test_a_config_of_another_form_is_named(work_dir, part):
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(f'{config.read_text()}\n{part} = 3\n')
    with pytest.raises(CheckpointError, match=f'a int as {part}, expected a dict.*leave this folder out'):
        read_folder(folder)


@pytest.mark.parametrize('dataset', ['3', "dict(type='mmlgd.ImageShards', data_root=['a.tar'])"])
def test_images_that_are_no_folder_are_none(work_dir, dataset):
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(f'{config.read_text()}\ntrain_dataloader = dict(batch_size=4, dataset={dataset})\n')
    assert read_folder(folder).images is None


def test_a_run_whose_checkpoints_are_damaged_is_named(work_dir):
    folder = work_dir()
    (folder / 'epoch_3.pth').write_bytes(b'')
    with pytest.raises(CheckpointError, match='no complete checkpoint in .*epoch_3.pth is cut off.*leave this folder'):
        read_folder(folder)


def test_a_stopped_run_has_what_it_has(work_dir):
    folder = work_dir()
    for file in (folder / 'epoch_3.pth', folder / 'last_checkpoint'):
        file.unlink()
    (log,) = folder.glob('*/vis_data/scalars.json')
    lines = log.read_text().splitlines()
    log.write_text('\n'.join([*lines[:4], json.dumps(dict(step='<b>')), lines[4][:20]]))
    run = read_folder(folder)
    assert (run.checkpoint, run.saved, run.steps, run.steps_per_epoch) == (None, None, 15, 10)


@pytest.mark.parametrize('log', [None, '', '{"accuracy/top1": 9.0, "step": 3}'])
def test_a_start_that_trained_nothing_is_not_the_run(work_dir, log):
    """`mmlgd test` writes into the same folder as `mmlgd train`, and so does a start that fails."""
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    other = folder / '20260102_120000'
    (other / 'vis_data').mkdir(parents=True)
    text = config.read_text().replace('batch_size=4', 'batch_size=64')
    (other / 'vis_data/config.py').write_text(text)
    (other / f'{other.name}.log').write_text(HEAD.replace('number: 2', 'number: 1').format(device='another'))
    if log is not None:
        (other / 'vis_data/scalars.json').write_text(log)
    run = read_folder(folder)
    assert (run.images_per_step, run.processes, run.device, run.first) == (8, 2, 'NVIDIA H100', config)


def test_a_run_that_has_not_logged_a_step_is_what_its_config_says(work_dir):
    folder = work_dir()
    (log,) = folder.glob('*/vis_data/scalars.json')
    log.unlink()
    assert read_folder(folder).images_per_step == 8


def test_a_run_stopped_inside_an_epoch_has_the_steps_of_a_whole_one(work_dir):
    folder = work_dir()
    content = torch.load(folder / 'epoch_3.pth', weights_only=False)
    content['meta'].update(epoch=1, iter=17, mmlgd_inside=dict(done=7, steps=10))
    torch.save(content, folder / 'epoch_3.pth')
    assert read_folder(folder).steps_per_epoch == 10
