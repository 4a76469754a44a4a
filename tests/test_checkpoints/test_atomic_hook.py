"""A small training, killed wherever a checkpoint is written or removed."""

import builtins
import os
import shutil
import zipfile
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmlgd.checkpoints import atomic_hook, read_checkpoint
from mmlgd.checkpoints.atomic_hook import AtomicCheckpointHook
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.resume import last_whole_checkpoint
from mmlgd.models import QueueBank
from mmlgd.utils.files import WriteError
from tests import children

pytestmark = children.in_one_worker


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.line(inputs).square().mean()) if mode == 'loss' else [0]


class Better(Evaluator):
    """A score that is better in each epoch."""

    score = 0

    def process(self, *arguments, **options):
        pass

    def evaluate(self, size):
        self.score += 1
        return dict(acc=self.score)


def train(
    work_dir, epochs=4, fault=None, *details, hook=AtomicCheckpointHook, resume=None, model=Line, loop=None, **options
):
    if fault is not None:
        fault(*details)
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2,
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
    )
    evaluation = dict(val_dataloader=loader, val_evaluator=Better([]), val_cfg=dict())
    Runner(
        model(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(max_epochs=epochs, **(dict(type=loop) if loop else dict(by_epoch=True))),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=hook(**{'interval': 1, **options})),
        resume=resume is not None,
        load_from=resume and str(resume),
        **(evaluation if 'save_best' in options else {}),
    ).train()


def there(folder):
    return sorted(file.name for file in folder.glob('*.pth*'))


def kill_after_renaming(name):
    replace = os.replace

    def replace_(source, target):
        replace(source, target)
        if fnmatch(str(target), f'*/{name}'):
            children.die()

    os.replace = replace_


def kill_when_removing(name):
    remove = LocalBackend.remove

    def remove_(self, path):
        if fnmatch(str(path), f'*/{name}'):
            children.die()
        remove(self, path)

    LocalBackend.remove = remove_


@pytest.mark.parametrize(
    'fault, left',
    [
        ((children.die_in_write, 'epoch_3.pth*'), {'epoch_2.pth'}),
        ((kill_after_renaming, 'epoch_3.pth'), {'epoch_2.pth', 'epoch_3.pth'}),
        ((kill_when_removing, 'epoch_2.pth'), {'epoch_2.pth', 'epoch_3.pth'}),
    ],
)
def test_a_kill_at_any_point_leaves_a_whole_checkpoint(tmp_path, fault, left):
    folder = tmp_path / 'run'
    code, log = children.run(some_kept, folder, AtomicCheckpointHook, 1, *fault, log=tmp_path / 'log')
    assert code == -9, log
    whole = {name for name in there(folder) if not name.endswith('.part')}
    assert whole == left and all(zipfile.ZipFile(folder / name).testzip() is None for name in whole)
    assert last_whole_checkpoint(folder).name in left


def some_kept(folder, hook, keep, *fault):
    train(folder, 4, *fault, hook=hook, max_keep_ckpts=keep)


def half_a_write(name):
    """The same kill, where mmengine writes: into the file's own place, by the built-in ``open``."""
    opened = builtins.open

    def open_(file, mode='r', *arguments, **options):
        handle = opened(file, mode, *arguments, **options)
        return children._DiesHalfway(handle) if 'w' in mode and fnmatch(str(file), f'*/{name}') else handle

    builtins.open = open_


def test_mmengines_hook_leaves_no_checkpoint_after_a_kill(tmp_path):
    """The reason for ours; where this fails, it may go."""
    folder = tmp_path / 'run'
    fault = (half_a_write, 'epoch_3.pth')
    code, log = children.run(some_kept, folder, CheckpointHook, 1, *fault, log=tmp_path / 'log')
    assert code == -9, log
    assert there(folder) == ['epoch_3.pth'] and not zipfile.is_zipfile(folder / 'epoch_3.pth')


class Broken(Line):
    def forward(self, inputs, mode):
        raise RuntimeError('broken')


def test_a_run_that_stops_before_its_first_checkpoint_does_not_go_on_from_an_earlier_run(tmp_path):
    train(tmp_path, epochs=2)
    with pytest.raises(RuntimeError, match='broken'):
        train(tmp_path, epochs=2, model=Broken)
    assert there(tmp_path) == ['epoch_1.pth', 'epoch_2.pth'] and last_whole_checkpoint(tmp_path) is None
    train(tmp_path, epochs=1)
    assert last_whole_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize('keep, left', [(-1, 4), (1, 1), (3, 3)])
def test_max_keep_ckpts_works_as_in_mmengine(tmp_path, keep, left):
    for hook in (AtomicCheckpointHook, CheckpointHook):
        folder = tmp_path / hook.__name__
        code, log = children.run(some_kept, folder, hook, keep, log=tmp_path / 'log')
        assert code == 0, log
        assert there(folder) == [f'epoch_{k}.pth' for k in range(5 - left, 5)]
        assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_4.pth')


def best_kept(folder, *fault):
    train(folder, 3, *fault, max_keep_ckpts=1, save_best='acc', rule='greater')


def test_the_best_checkpoint_survives_a_kill_while_the_next_is_written(tmp_path):
    folder = tmp_path / 'run'
    code, log = children.run(best_kept, folder, children.die_in_write, 'best_acc_epoch_3.pth*', log=tmp_path / 'log')
    assert code == -9, log
    assert {'best_acc_epoch_2.pth', 'epoch_3.pth'} <= set(there(folder))


def test_a_new_best_checkpoint_replaces_the_old_one(tmp_path):
    folder = tmp_path / 'run'
    code, log = children.run(best_kept, folder, log=tmp_path / 'log')
    assert code == 0, log
    assert there(folder) == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    hub = read_checkpoint(folder / 'epoch_3.pth')['message_hub']['runtime_info']
    assert hub['best_ckpt'] == str(folder / 'best_acc_epoch_3.pth') and hub['keep_ckpt_ids'] == [3]


def goes_on(folder, file, epochs, score=10):
    """With a best one, and two checkpoints, to be replaced."""
    Better.score = score
    train(folder, epochs, resume=file, max_keep_ckpts=2, save_best='acc', rule='greater')


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
    """A run of three epochs, of which two are kept, and the best."""
    folder = tmp_path_factory.mktemp('begun') / 'run'
    code, log = children.run(goes_on, folder, None, 3, 0, log=folder.parent / 'log')
    assert code == 0, log
    return folder


@pytest.mark.parametrize('is_moved', [False, True])
def test_a_resumed_run_removes_its_own_old_checkpoints(begun, tmp_path, is_moved):
    folder = tmp_path / 'run'
    shutil.copytree(begun, folder)
    if is_moved:
        folder = folder.rename(tmp_path / 'moved')
    code, log = children.run(goes_on, folder, folder / 'epoch_3.pth', 5, log=tmp_path / 'log')
    assert code == 0, log
    assert there(folder) == ['best_acc_epoch_5.pth', 'epoch_4.pth', 'epoch_5.pth']


def told(begun, file, **info):
    """The last checkpoint of the run, which now tells something else of the other ones."""
    checkpoint = read_checkpoint(begun / 'epoch_3.pth')
    checkpoint['message_hub']['runtime_info'].update(info)
    torch.save(checkpoint, file)
    return file


@pytest.mark.parametrize(
    'best', ['Photos', 'notes.pth', 'best_notes.pth', 'best_acc_epoch_1.pth', '../run/epoch_1.pth']
)
@pytest.mark.parametrize('is_outside', [True, False])
def test_files_named_by_a_resumed_checkpoint_are_not_removed(begun, tmp_path, best, is_outside):
    """Were it a file from somebody: a folder beside it, a file that is none of a run's, a link."""
    folder, outside = tmp_path / 'run', tmp_path / 'outside'
    for place in (folder, outside):
        (place / 'Photos').mkdir(parents=True)
        for name in ('Photos/a.jpg', 'notes.pth', 'epoch_1.pth', 'epoch_2.pth', 'target'):
            (place / name).write_text('precious')
        (place / 'best_notes.pth').symlink_to(place / 'target')
        if is_outside:
            (place / 'best_acc_epoch_1.pth').write_text('precious')
    before = {path for path in tmp_path.rglob('*') if path.is_symlink() or path.is_file()}
    steps = [1, 2, 3] if is_outside else [3]
    place = outside if is_outside else folder
    file = told(begun, place / 'epoch_3.pth', best_ckpt=str(place / best), keep_ckpt_ids=steps, last_ckpt=best)
    code, log = children.run(goes_on, folder, file, 4, log=tmp_path / 'log')
    assert code == 0 and {'best_acc_epoch_4.pth', 'epoch_4.pth'} <= set(there(folder)), log
    assert not {path for path in before if not path.is_symlink() and not path.is_file()}


def test_last_checkpoint_is_not_written_through_a_link(tmp_path):
    (tmp_path / 'last_checkpoint').symlink_to(tmp_path / 'target')
    with pytest.raises(WriteError, match='last_checkpoint is a link'):
        AtomicCheckpointHook().before_train(SimpleNamespace(work_dir=str(tmp_path)))


class Plane(Line):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 2)


def is_refused(folder, file, model, *words):
    with pytest.raises(CheckpointError) as error:
        train(folder, 4, resume=file, model=model)
    for word in words:
        assert word in str(error.value), error.value


NEW = 'load_from=FILE` instead of --resume'


@pytest.mark.parametrize(
    'missing, model, words',
    [
        (('message_hub', 'optimizer', 'param_schedulers'), Line, [NEW, 'message_hub', 'published']),
        (('meta', 'message_hub'), Line, [NEW, 'epoch, iter, message_hub']),
        ((), Plane, [NEW, 'line does not fit Linear', 'line', 'weight (1, 1) instead of (2, 1)']),
    ],
)
def test_an_unfit_checkpoint_is_refused_before_the_run(begun, tmp_path, missing, model, words):
    checkpoint = read_checkpoint(begun / 'epoch_3.pth')
    torch.save({key: value for key, value in checkpoint.items() if key not in missing}, tmp_path / 'other.pth')
    words = [word.replace('FILE', f'{tmp_path}/other.pth') for word in words]
    code, log = children.run(is_refused, tmp_path / 'run', tmp_path / 'other.pth', model, *words, log=tmp_path / 'log')
    assert code == 0, log
    assert not there(tmp_path / 'run')


class Queued(Line):
    def __init__(self, size):
        super().__init__()
        self.queue = QueueBank(size, 2)


def test_a_queue_of_another_size_is_refused(tmp_path):
    train(tmp_path, epochs=1, model=partial(Queued, 3))
    with pytest.raises(CheckpointError, match=r'has a queue of \(3, 2\), and this run one of \(5, 2\)'):
        train(tmp_path, epochs=2, model=partial(Queued, 5), resume=tmp_path / 'epoch_1.pth')
    train(tmp_path, epochs=2, model=partial(Queued, 3), resume=tmp_path / 'epoch_1.pth')


def test_a_run_resumes_in_a_work_dir_whose_name_is_not_utf_8(tmp_path):
    """A folder of images with such a name works as well."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b'/run_\xff'))
    log = tmp_path / 'log'
    assert children.run(train, folder, 2, log=log)[0] == 0, log.read_text()
    last = last_whole_checkpoint(folder)
    assert last == folder / 'epoch_2.pth'
    code, told = children.run(resumed, folder, last, log=log)
    assert code == 0 and there(folder) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth'], told


def resumed(folder, last):
    train(folder, 3, resume=last)


def let_time_pass(monkeypatch, minutes):
    """Each step takes so many minutes, by the clock of the hook."""
    now, forward = [0.0], Line.forward

    def forward_(self, inputs, mode):
        now[0] += 60 * minutes
        return forward(self, inputs, mode)

    monkeypatch.setattr(Line, 'forward', forward_)
    monkeypatch.setattr(atomic_hook, 'time', SimpleNamespace(monotonic=lambda: now[0]))


@pytest.fixture
def written(monkeypatch):
    """The checkpoints that a run writes, in their order, with the place in the run."""
    found, save = [], Runner.save_checkpoint

    def save_(runner, out_dir, filename, *args, meta, **options):
        found.append((filename, meta['epoch'], meta['iter']))
        save(runner, out_dir, filename, *args, meta=meta, **options)

    monkeypatch.setattr(Runner, 'save_checkpoint', save_)
    return found


def test_after_ten_minutes_a_checkpoint_is_written_and_the_next_replaces_it(tmp_path, monkeypatch, written):
    let_time_pass(monkeypatch, 4)
    train(tmp_path / 'ours', epochs=3, interval=2, loop='mmlgd.EpochTrainLoop')
    assert written == [('iter_3.pth', 1, 3), ('epoch_2.pth', 2, 4), ('epoch_3.pth', 3, 6)]  # two steps an epoch
    assert there(tmp_path / 'ours') == ['epoch_2.pth', 'epoch_3.pth']
    written.clear()
    train(tmp_path / 'none', epochs=3, interval=2, minutes=None)
    assert [name for name, *_ in written] == ['epoch_2.pth', 'epoch_3.pth']


def test_with_a_loop_that_cannot_go_on_inside_an_epoch_it_waits_for_the_end(tmp_path, monkeypatch, written):
    let_time_pass(monkeypatch, 11)
    train(tmp_path / 'run', epochs=2, interval=5)
    assert written == [('iter_2.pth', 1, 2), ('epoch_2.pth', 2, 4)]


def test_a_checkpoint_inside_an_epoch_needs_a_loop_that_goes_on_there(tmp_path, monkeypatch):
    let_time_pass(monkeypatch, 11)
    folder = tmp_path / 'run'
    with pytest.raises(KeyboardInterrupt):
        train(folder, epochs=2, interval=5, loop='mmlgd.EpochTrainLoop', model=StopsAfterAStep)
    assert there(folder) == ['iter_1.pth'] == [last_whole_checkpoint(folder).name]
    with pytest.raises(CheckpointError, match='inside an epoch.*EpochTrainLoop'):
        train(folder, epochs=2, resume=folder / 'iter_1.pth')


class StopsAfterAStep(Line):
    steps = 0

    def train_step(self, *arguments, **options):
        self.steps += 1
        if self.steps == 2:
            raise KeyboardInterrupt
        return super().train_step(*arguments, **options)
