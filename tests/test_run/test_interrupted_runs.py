"""Training that is killed, or runs out of disk, for real; and what resuming makes of it."""

import json
import os
import re
import resource
import shutil
import signal
import tempfile
import time
import zipfile

import pytest
import torch

from mmlgd.checkpoints import read_checkpoint
from mmlgd.store import TeacherStore, layout
from mmlgd.utils.files import sole_writer
from tests import ROOT, children
from tests.devices import scale_losses_on_the_cpu

pytestmark = children.in_one_worker
RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
STEPS = 3  # of an epoch
FULL = 60_000  # bytes: more than a log, less than a checkpoint


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    """Both banks and a queue, two data loader processes, an evaluation between epochs, one checkpoint kept."""
    path = tmp_path_factory.mktemp('config') / 'mine.py'
    path.write_text(
        recipe_of(RECIPE)
        + "model.update(queue=dict(type='mmlgd.QueueBank', size=5))\n"
        + "train_dataloader['num_workers'] = 2\n"
        + 'train_cfg = dict(max_epochs=3, val_interval=1)\n'
        + "default_hooks['checkpoint']['max_keep_ckpts'] = 1\n"
        + "optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16',\n"
        + '    loss_scale=dict(init_scale=1024.0, growth_interval=2))\n'
    )
    return path


def prepared(fault=None, *details):
    scale_losses_on_the_cpu()
    if fault is not None:
        fault(*details)


def train(recipe, work_dir, *arguments, fault=(), log='log'):
    arguments = [recipe, '--work-dir', work_dir, *arguments]
    work_dir.parent.mkdir(exist_ok=True)
    return children.Child(children.verb, 'train', arguments, prepared, *fault, log=work_dir.with_suffix(f'.{log}'))


def losses(work_dir):
    """Of each step, as it was last logged: resumed runs have a log each."""
    found = {}
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if 'loss' in record:
                found[record['step']] = [record[k] for k in ('loss', 'loss_visual', 'loss_textual', 'loss_queue', 'lr')]
    return found


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()))
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected):
            assert_same(ours, theirs)
    else:
        assert found == (pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected)


@pytest.fixture(scope='module')
def unbroken(recipe, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('unbroken') / 'run'
    code, log = train(recipe, work_dir).wait()
    assert code == 0, log[-3000:]
    return work_dir


def test_a_run_killed_twice_and_resumed_is_the_unbroken_run(recipe, unbroken, tmp_path):
    work_dir = tmp_path / 'run'
    code, log = train(recipe, work_dir, fault=(children.at_step, STEPS + 1, children.die)).wait()
    assert code == -9, log[-3000:]
    assert (work_dir / 'epoch_1.pth').is_file()

    # In the middle of writing epoch 2's checkpoint, of which mmengine would have removed epoch 1's by now.
    code, log = train(recipe, work_dir, '--resume', fault=(children.die_in_write, 'epoch_2*')).wait()
    assert code == -9, log[-3000:]
    assert 'Epoch(train) [2][1/3]' in log
    assert (work_dir / 'epoch_1.pth').is_file() and not (work_dir / 'epoch_2.pth').exists()

    code, log = train(recipe, work_dir, '--resume', log='last').wait()
    assert code == 0, log[-3000:]
    assert 'resumed epoch: 1, iter: 3' in log
    assert sorted(file.name for file in work_dir.glob('epoch*')) == ['epoch_3.pth']

    expected, found = losses(unbroken), losses(work_dir)
    assert list(found) == list(range(1, 3 * STEPS + 1))
    assert found == {step: pytest.approx(values, rel=1e-6) for step, values in expected.items()}
    expected, found = (read_checkpoint(folder / 'epoch_3.pth') for folder in (unbroken, work_dir))
    assert 'loss_scaler' in found['optimizer'] and found['optimizer']['loss_scaler']['scale'] > 1024
    assert {'queue.bank', 'queue.pointer', 'visual_bank.bank'} <= set(found['state_dict'])
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(found[part], expected[part])


def test_a_signal_stops_between_two_steps_and_nothing_is_lost(recipe, unbroken, tmp_path):
    work_dir = tmp_path / 'run'
    fault = (children.at_step, STEPS + 1, signal.raise_signal, signal.SIGINT)  # in the middle of epoch 2
    code, log = train(recipe, work_dir, fault=fault).wait()
    assert 'SystemExit: 130' in log and 'Stopping after this step' in log
    assert f'Stopped after step {STEPS + 2} of {3 * STEPS}, in epoch 2. Nothing is lost: {work_dir}/iter_5.pth' in log
    assert re.search(rf'Go on with:\n  .*train {recipe} --work-dir {work_dir} --resume\n', log)

    # Once more, in the same epoch, by the one who stops a batch system's job.
    fault = (children.at_step, STEPS + 2, signal.raise_signal, signal.SIGTERM)
    code, log = train(recipe, work_dir, '--resume', fault=fault, log='again').wait()
    assert 'Going on in epoch 2 after step 2 of 3' in log and 'SystemExit: 143' in log
    assert sorted(file.name for file in work_dir.glob('*.pth')) == ['epoch_1.pth', 'iter_6.pth']

    code, log = train(recipe, work_dir, '--resume', log='last').wait()
    assert code == 0, log[-3000:]
    assert sorted(file.name for file in work_dir.glob('*.pth')) == ['epoch_3.pth']
    assert losses(work_dir) == {step: pytest.approx(values, rel=1e-6) for step, values in losses(unbroken).items()}
    expected, found = (read_checkpoint(folder / 'epoch_3.pth') for folder in (unbroken, work_dir))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(found[part], expected[part])


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


def test_a_full_disk_stops_the_run_and_costs_nothing_that_was_there(recipe, unbroken, tmp_path):
    work_dir = tmp_path / 'run'
    code, log = train(recipe, work_dir, fault=(children.at_step, STEPS + 1, limit_file_size)).wait()
    assert code == 1
    assert f'Cannot write {work_dir}/epoch_2.pth: File too large.' in log and 'ulimit -f' in log
    assert 'are free' in log and 'with --resume' in log
    assert (work_dir / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert [file.name for file in work_dir.glob('epoch*')] == ['epoch_1.pth']
    assert zipfile.ZipFile(work_dir / 'epoch_1.pth').testzip() is None


def wait_forever(mark):
    mark.touch()
    time.sleep(600)


def hold(folder):
    with sole_writer(folder):
        pass


def test_a_second_run_in_the_same_work_dir_is_refused_until_the_first_is_killed(recipe, tmp_path):
    work_dir, mark = tmp_path / 'run', tmp_path / 'first'
    first = train(recipe, work_dir, fault=(children.at_step, 1, wait_forever, mark))
    first.until(mark.exists)
    before = sorted(work_dir.rglob('*'))
    code, log = train(recipe, work_dir, '--resume', log='second').wait()
    assert code == 1
    assert f'Another run writes to {str(work_dir)!r} (process {first.pid} on {os.uname().nodename}, since ' in log
    assert '--work-dir' in log
    assert sorted(work_dir.rglob('*')) == before
    first.kill()  # its two data loader processes find out seconds later, and hold nothing
    code, log = children.run(hold, work_dir, log=tmp_path / 'third')
    assert code == 0, log


def let_the_clock_jump(hours):
    now = time.time
    time.time = lambda: now() + 3600 * hours


def test_a_clock_that_jumps_neither_stops_a_run_nor_chooses_its_checkpoint(recipe, unbroken, tmp_path):
    work_dir = tmp_path / 'run'
    arguments = [
        '--no-validate',
        '--cfg-options',
        'default_hooks.checkpoint.max_keep_ckpts=2',
        'train_cfg.max_epochs=2',
    ]
    fault = (children.at_step, STEPS + 1, let_the_clock_jump, -24)
    code, log = train(recipe, work_dir, *arguments, fault=fault).wait()
    assert code == 0, log[-3000:]
    for age, number in enumerate((2, 1)):  # the later one, by the clock, was written a day before
        os.utime(work_dir / f'epoch_{number}.pth', (time.time() - 86400 * (1 - age),) * 2)
    damage(work_dir / 'epoch_2.pth')
    fault = (let_the_clock_jump, -48)
    code, log = train(recipe, work_dir, *arguments, '--resume', fault=fault, log='second').wait()
    assert code == 0, log[-3000:]
    assert f'{work_dir}/epoch_2.pth is damaged (it has bytes that differ from their checksum' in log
    assert f'Resuming from {work_dir}/epoch_1.pth' in log and 'Epoch(train) [2][3/3]' in log
    expected = losses(unbroken)
    found = losses(work_dir)  # those of both runs are the unbroken run's, which has an evaluation between
    assert found == {step: pytest.approx(expected[step], rel=1e-6) for step in range(1, 2 * STEPS + 1)}


def damage(file):
    """Change one byte of a weight."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_where_no_checkpoint_is_whole_the_run_does_not_start(recipe, unbroken, tmp_path):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    content = (unbroken / 'epoch_3.pth').read_bytes()
    (work_dir / 'epoch_3.pth').write_bytes(content[: len(content) // 2])
    for arguments in (['--resume'], ['--resume', work_dir / 'epoch_3.pth']):
        code, log = train(recipe, work_dir, *arguments).wait()
        assert code == 1 and 'CheckpointError: ' in log
        assert 'is cut off' in log and 'Epoch(train)' not in log
    assert 'no complete checkpoint in' in log and 'Cannot resume from' in log


@pytest.mark.skipif(os.geteuid() != 0, reason='takes root, to become somebody who may not write')
def test_a_work_dir_without_permission_is_named_before_anything_is_built(recipe, tmp_path):
    with tempfile.TemporaryDirectory() as folder:  # the tests' own is closed to others
        os.chmod(folder, 0o755)
        shutil.copy(recipe, folder)
        arguments = [f'{folder}/mine.py', '--work-dir', f'{folder}/run']
        call = (children.as_nobody, children.verb, 'train', arguments, scale_losses_on_the_cpu)
        code, log = children.run(*call, log=tmp_path / 'log')
        assert code == 1 and f'Cannot write {folder}/run/.lock: Permission denied.' in log
        assert os.listdir(folder) == ['mine.py']


def with_small_shards(fault, *details):
    layout._FEWEST_ROWS = 32
    fault(*details)


def test_a_store_whose_writer_is_killed_is_refused_and_then_finished_by_one_writer(recipe, tmp_path):
    folder = tmp_path / 'store'
    arguments = [recipe, '--views', 4, '--out', folder]  # of 12 images: 48 rows, two shards
    arguments += ['--cfg-options', 'train_dataloader.num_workers=0', 'train_dataloader.batch_size=12']
    fault = (with_small_shards, children.die_in_write, '00001.npy*')
    code, log = children.run(children.verb, 'store', arguments, *fault, log=tmp_path / 'first')
    assert code == -9, log[-3000:]
    written = (folder / 'shards/00000.npy').stat().st_mtime_ns
    code, log = train(recipe, tmp_path / 'run', '--store', folder).wait()
    assert code == 1 and 'is not finished: 1 of 2 shards are missing' in log

    with sole_writer(folder):  # this process is the other one
        code, log = children.run(children.verb, 'store', arguments, log=tmp_path / 'second')
        assert code == 1 and f'Another run writes to {str(folder)!r} (process {os.getpid()} on ' in log
    code, log = children.run(children.verb, 'store', arguments, log=tmp_path / 'third')
    assert code == 0 and '12 images, 4 views each' in log, log[-3000:]
    assert TeacherStore(folder).missing(verify=True) == []
    assert (folder / 'shards/00000.npy').stat().st_mtime_ns == written
