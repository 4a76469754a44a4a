"""Two processes, of which one has a fault, or more images, or an end: the other must not wait for good."""

import datetime
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from safetensors.torch import load_file, save_file
from torch.distributed import distributed_c10d

from mmlgd.checkpoints import read_checkpoint
from mmlgd.engine.numerics.replay import replay_step
from mmlgd.store import layout
from mmlgd.store.writer import write_store
from mmlgd.utils.distributed import OtherRankError, fail_together
from tests.children import PATIENCE, in_one_worker, outcomes, ranks

pytestmark = in_one_worker


def said_by(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return 'no error'


# --------------------------------------------------------------------------------------------- what they run


def config(recipe, work_dir, distributed=True):
    """Two epochs of 11 images in batches of 4, with three banks: on two ranks two steps, of 4 and 2 images."""
    cfg = Config.fromfile(recipe)
    cfg.work_dir, cfg.experiment_name = str(work_dir), Path(work_dir).name
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_dataloader.dataset.size = 32
    cfg.train_dataloader.dataset.indices = 11
    cfg.train_dataloader.drop_last = False
    cfg.model.queue = dict(size=7)
    cfg.custom_hooks = [dict(type='mmlgd.StepsCheckHook'), dict(type='mmlgd.FiniteCheckHook')]
    cfg.env_cfg.mp_cfg = dict(mp_start_method='forkserver')  # the one that these processes have
    if distributed:
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    return cfg


def banks(model):
    model = getattr(model, 'module', model)
    return {name: value.clone() for name, value in model.named_buffers() if name.startswith(('visual_bank', 'queue'))}


def train(cfg, *hooks):
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return banks(runner.model)


class BanksAtStart(Hook):
    def before_train(self, runner):
        self.banks = banks(runner.model)


class InStep(Hook):
    """Do something in the forward pass of one rank's third step."""

    def __init__(self, rank, action):
        self.rank, self.action = rank, action

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2 and get_rank() == self.rank:
            runner.model.module.neck.register_forward_pre_hook(self.action)


# ------------------------------------------------------------------------------- one has a fault, or other images


def faults(folder, recipe):
    """One after the other: what each rank says of each."""
    init_default_scope('mmpretrain')
    told, rank = {}, get_rank()

    def fail_on(number):
        with fail_together():
            if rank == number:
                raise KeyError('a reason')

    told['first'], told['second'] = said_by(fail_on, 0), said_by(fail_on, 1)
    with fail_together():
        pass

    cfg = config(recipe, folder / 'none')
    layout._FEWEST_ROWS = 8
    write_store(cfg, folder / 'store', views=2, seed=3)  # 22 views in three shards: one rank rests in the second round
    told['refused'] = said_by(write_store, cfg, folder / 'store', 2, 4)
    if rank == 0:
        for shard in range(2):
            (folder / f'store/shards/{shard:05d}.crc32').unlink()
        (folder / 'store/shards/00001.npy.part').mkdir()  # the disk does not let rank 1 write
    torch.distributed.barrier()
    told['disk'] = said_by(write_store, cfg, folder / 'store', 2, 3)

    broken = config(recipe, folder / 'none')
    broken.model.teacher.model = broken_text(broken.model.teacher.model, folder / f'clip_{rank}')
    told['text'] = said_by(write_store, broken, folder / 'another', 1)

    cfg = config(recipe, folder / 'unequal')
    cfg.train_dataloader.sampler.round_up = False
    told['unequal'] = said_by(train, cfg)

    cfg = config(recipe, folder / 'other')
    cfg.train_dataloader.dataset.indices = list(range(rank, 11 + rank))  # as many, of which one differs
    told['other'] = said_by(train, cfg)

    cfg = config(recipe, folder / 'nan')
    told['nan'] = said_by(train, cfg, InStep(1, lambda neck, args: (tuple(x * float('nan') for x in args[0]),)))

    told['banks'] = train(config(recipe, folder / 'uneven'))

    cfg = config(recipe, folder / 'apart')
    cfg.resume, cfg.load_from = rank == 0, str(folder / 'uneven/epoch_1.pth') if rank == 0 else None
    told['apart'] = said_by(train, cfg)
    return told


def broken_text(model, folder):
    source = Path(model.removeprefix('local-dir:'))
    folder.mkdir()
    weights = load_file(source / 'open_clip_model.safetensors')
    weights['text_projection'].zero_()
    save_file(weights, folder / 'open_clip_model.safetensors')
    (folder / 'open_clip_config.json').write_text((source / 'open_clip_config.json').read_text())
    return f'local-dir:{folder}'


@pytest.fixture(scope='module')
def pair(tmp_path_factory, recipe):
    folder = tmp_path_factory.mktemp('pair') / 'of_ranks'
    return folder, outcomes(faults, folder, recipe)


def test_an_error_on_one_rank_stops_all_with_its_reason(pair):
    _, (first, second) = pair
    assert first['first'] == second['second'] == "KeyError: 'a reason'"
    assert (
        second['first'].startswith('OtherRankError: Rank 0 of this run') and "KeyError: 'a reason'" in second['first']
    )
    assert first['second'].startswith('OtherRankError: Rank 1 of this run')


def test_a_store_that_the_main_process_refuses_is_refused_by_all(pair):
    _, (first, second) = pair
    assert first['refused'].startswith('StoreError: The folder') and 'store.seed is 3 in the store' in first['refused']
    assert (
        second['refused'].startswith('OtherRankError: Rank 0') and 'store.seed is 3 in the store' in second['refused']
    )


def test_a_full_disk_on_one_rank_stops_all_and_keeps_complete_shards(pair):
    folder, (first, second) = pair
    assert second['disk'].startswith('WriteError: Cannot write')
    assert first['disk'].startswith('OtherRankError: Rank 1') and '00001.npy' in first['disk']
    assert (folder / 'store/shards/00000.crc32').is_file() and not (folder / 'store/shards/00001.crc32').is_file()


def test_class_names_that_the_main_process_cannot_embed_stop_all(pair):
    _, (first, second) = pair
    assert "class 'cat': that of" in first['text'] and 'open_clip/local-dir' in first['text']
    assert second['text'].startswith('OtherRankError: Rank 0') and "class 'cat'" in second['text']


def test_unequal_batches_are_refused_before_the_first_step(pair):
    _, ranks = pair
    for told in ranks:
        assert told['unequal'].startswith('ConfigError: The ranks have unequal batches')
        assert 'rank 0: 2 steps, the last of 2 images; rank 1: 2 steps, the last of 1 images' in told['unequal']


def test_ranks_with_other_images_are_refused_before_the_first_step(pair):
    _, ranks = pair
    for told in ranks:
        assert told['other'].startswith('ConfigError: The ranks have different images')
        assert told['other'].count('11 images (digest') == 2 and 'Give all machines the same files' in told['other']


def test_ranks_that_found_different_checkpoints_are_refused_before_the_first_step(pair):
    """As machines do whose work dir is on a disk of their own."""
    _, ranks = pair
    for told in ranks:
        assert told['apart'].startswith(
            'ConfigError: The ranks do not go on from the same step (rank 0: after step 2; '
        )
        assert 'rank 1: after step 0)' in told['apart'] and 'on a disk that all machines share' in told['apart']


def test_a_nan_on_one_rank_stops_all_in_the_same_step(pair, tiny_clip):
    folder, (first, second) = pair
    said = 'NonFiniteError: Step 3 (epoch 2, batch 1) has NaN or Inf in the student'
    assert first['nan'].startswith(said) and 'on another rank' in first['nan']
    assert second['nan'].startswith(said) and 'iter_3_rank_1.pth' in second['nan']
    (file,) = (folder / 'nan/broken_steps').iterdir()
    kept = torch.load(file, weights_only=True)
    assert kept['meta']['rank'] == 1 and kept['meta']['world_size'] == 2
    assert replay_step(file, teacher=dict(model=tiny_clip)).recorded == [
        'student',
        'loss_visual',
        'loss_textual',
        'loss_queue',
    ]


def test_uneven_batches_leave_equal_banks(pair):
    """The sampler fills up, to 12 images; the last batch is smaller, on both ranks."""
    _, (first, second) = pair
    assert first['banks'].keys() == second['banks'].keys()
    for name, value in first['banks'].items():
        assert torch.equal(value, second['banks'][name]) and value.isfinite().all(), name
    assert first['banks']['queue.pointer'] == 24 % 7 and first['banks']['queue.visited'].all()


# ------------------------------------------------------------------------------------ another number of processes


def resume(folder, recipe, work_dir, max_epochs, distributed=True):
    init_default_scope('mmpretrain')
    cfg = config(recipe, work_dir, distributed)
    cfg.resume, cfg.train_cfg.max_epochs = True, max_epochs
    start = BanksAtStart()
    end = train(cfg, start)
    return start.banks, end


def warnings_in(work_dir):
    """Those of all runs so far, in their order: runs that start in the same second share a log."""
    lines = [line for log in sorted(Path(work_dir).glob('*/*.log')) for line in log.read_text().splitlines()]
    return [line for line in lines if 'WARNING' in line and 'continues with' in line]


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_resumes_with_another_number_of_processes(pair, recipe, tmp_path):
    folder, (first, _) = pair
    work_dir = folder / 'uneven'
    assert not warnings_in(work_dir)
    start, end = resume(tmp_path, recipe, work_dir, 3, distributed=False)
    assert equal(start, first['banks']) and not equal(end, start)
    (warning,) = warnings_in(work_dir)
    assert '1 processes x 4 images, 3 steps per epoch' in warning
    assert 'began with 2 processes x 4 images, 2 steps per epoch' in warning

    (start, first_end), (second_start, second_end) = outcomes(resume, tmp_path / 'two', recipe, work_dir, 4)
    assert equal(start, end) and equal(second_start, end)
    assert equal(first_end, second_end) and not equal(first_end, end)
    _, warning = warnings_in(work_dir)
    assert 'continues with 2 processes' in warning and 'began with 1 processes' in warning


# ------------------------------------------------------------------------------------------------- one has an end


class WaitsOnly(Hook):
    """From the third step on, ranks wait so long for each other."""

    def __init__(self, seconds, file):
        self.seconds, self.file = seconds, file

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            torch.distributed.barrier()
            distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=self.seconds), None)
            if get_rank() == 0:
                self.file.write_text(str(time.time()))


def die(folder, recipe, number, seconds):
    init_default_scope('mmpretrain')
    hooks = WaitsOnly(seconds, folder / 'when'), InStep(1, lambda neck, args: os.kill(os.getpid(), number))
    return train(config(recipe, folder / 'run'), *hooks)


@pytest.mark.parametrize('number, seconds', [(signal.SIGKILL, PATIENCE), (signal.SIGSTOP, 1)])
def test_a_rank_that_dies_or_hangs_ends_the_other_with_an_error(recipe, tmp_path, number, seconds):
    """Killed: at once. Hung: after the timeout of the process group."""
    folder = tmp_path / 'ranks'
    first, second = ranks(die, folder, recipe, number, seconds)
    first.join(PATIENCE)
    ended = time.time()
    second.kill()
    second.join(PATIENCE)
    assert first.exitcode == 0
    told = torch.load(folder / 'outcome_0.pth')
    assert 'Error' in told and not (folder / 'outcome_1.pth').exists()
    assert ended - float((folder / 'when').read_text()) < PATIENCE / 3
    left = read_checkpoint(folder / 'run/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in left.values() if isinstance(value, torch.Tensor))


def test_without_other_ranks_an_error_passes_unchanged():
    with pytest.raises(KeyError), fail_together():
        raise KeyError
    assert issubclass(OtherRankError, RuntimeError)
