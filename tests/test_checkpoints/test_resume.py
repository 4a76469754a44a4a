import io
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from mmlgd.checkpoints.last import begin_anew, checkpoints_of
from mmlgd.checkpoints.parts import CheckpointError
from mmlgd.checkpoints.resume import last_whole_checkpoint, resume_whole, save_whole


def save(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        torch.save(dict(meta=dict(epoch=1), state_dict=dict(weight=torch.randn(50, 50))), folder / name)


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def note(folder, text):
    (folder / 'last_checkpoint').write_text(str(text))


def test_last_checkpoint_counts_even_if_older_files_have_higher_numbers(tmp_path):
    save(tmp_path, 'epoch_2.pth', 'epoch_3.pth', 'epoch_200.pth', 'best_epoch_9.pth')
    note(tmp_path, tmp_path / 'epoch_3.pth')
    assert last_whole_checkpoint(tmp_path).name == 'epoch_3.pth'
    cut(tmp_path / 'epoch_3.pth')
    assert last_whole_checkpoint(tmp_path).name == 'epoch_2.pth'


@pytest.mark.parametrize('text', ['', 'epoch_7.pth', '/gone/away/epoch_7.pth', 'epo', '\0\0\0'])
def test_without_last_checkpoint_the_highest_number_counts(tmp_path, text):
    save(tmp_path, 'epoch_9.pth', 'epoch_10.pth')
    (tmp_path / 'epoch_11.pth.part').write_bytes(b'half')
    note(tmp_path, text)
    assert last_whole_checkpoint(tmp_path).name == 'epoch_10.pth'


def test_a_run_that_begins_anew_has_no_checkpoint_of_the_earlier_one(tmp_path):
    begin_anew(tmp_path)
    assert not any(tmp_path.iterdir())
    save(tmp_path, 'epoch_9.pth', 'iter_3.pth')
    begin_anew(tmp_path)
    assert last_whole_checkpoint(tmp_path) is None and checkpoints_of(tmp_path) == []
    note(tmp_path, tmp_path / 'iter_3.pth')
    assert last_whole_checkpoint(tmp_path) == tmp_path / 'iter_3.pth'
    assert checkpoints_of(tmp_path) == [tmp_path / 'iter_3.pth']


def test_a_work_dir_that_was_copied_has_its_own_checkpoints(tmp_path):
    for name in ('old', 'new'):
        save(tmp_path / name, 'iter_500.pth')
        note(tmp_path / name, tmp_path / 'old' / 'iter_500.pth')
    assert last_whole_checkpoint(tmp_path / 'new') == tmp_path / 'new' / 'iter_500.pth'


def test_checkpoints_in_another_folder_are_found(tmp_path):
    save(tmp_path / 'out', 'epoch_1.pth', 'epoch_2.pth')
    (tmp_path / 'run').mkdir()
    note(tmp_path / 'run', tmp_path / 'out' / 'epoch_2.pth')
    cut(tmp_path / 'out' / 'epoch_2.pth')
    assert last_whole_checkpoint(tmp_path / 'run') == tmp_path / 'out' / 'epoch_1.pth'


def test_a_new_work_dir_has_nothing_to_resume_and_one_with_lost_checkpoints_says_so(tmp_path):
    assert last_whole_checkpoint(tmp_path) is None and last_whole_checkpoint(tmp_path / 'new') is None
    note(tmp_path, tmp_path / 'epoch_7.pth')
    with pytest.raises(
        CheckpointError, match=r"no complete checkpoint in .*epoch_7.pth' does not exist.*without --resume"
    ):
        last_whole_checkpoint(tmp_path)
    note(tmp_path, '')  # which may have named a checkpoint in another folder
    with pytest.raises(CheckpointError, match='no complete checkpoint'):
        last_whole_checkpoint(tmp_path)


@pytest.fixture(scope='module')
def checkpoint():
    content = io.BytesIO()
    torch.save(dict(state_dict=dict(weight=torch.randn(50, 50)), optimizer=dict(step=torch.ones(7))), content)
    return content.getvalue()


@settings(max_examples=60)
@given(data=st.data())
def test_truncated_and_changed_files_are_found(tmp_path_factory, checkpoint, data):
    file = tmp_path_factory.mktemp('damaged') / 'epoch_2.pth'
    file.with_name('epoch_1.pth').write_bytes(checkpoint)
    damaged = bytearray(checkpoint)
    if data.draw(st.booleans(), label='cut'):
        damaged = damaged[: data.draw(st.integers(0, len(checkpoint) - 1), label='length')]
    else:
        start = checkpoint.index(torch.load(io.BytesIO(checkpoint))['state_dict']['weight'].numpy().tobytes())
        damaged[start + data.draw(st.integers(0, 9_999), label='byte')] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(damaged)
    assert last_whole_checkpoint(file.parent).name == 'epoch_1.pth'


def test_resuming_names_the_checkpoint_in_the_config(tmp_path):
    save(tmp_path, 'epoch_1.pth', 'epoch_2.pth')
    cfg = Config(dict(resume=True, load_from=None, work_dir=str(tmp_path)))
    resume_whole(cfg)
    assert cfg.resume and cfg.load_from == str(tmp_path / 'epoch_2.pth')
    cfg = Config(dict(resume=True, load_from=None, work_dir=str(tmp_path / 'new')))
    resume_whole(cfg)
    assert not cfg.resume and cfg.load_from is None
    cfg = Config(dict(resume=False, load_from='student.pth'))
    resume_whole(cfg)
    assert not cfg.resume and cfg.load_from == 'student.pth'


def test_a_named_checkpoint_must_be_complete(tmp_path):
    save(tmp_path, 'epoch_1.pth')
    cfg = Config(dict(resume=True, load_from=str(tmp_path / 'epoch_1.pth')))
    resume_whole(cfg)
    cut(tmp_path / 'epoch_1.pth')
    with pytest.raises(CheckpointError, match='Cannot resume from .*epoch_1.pth: it is cut off'):
        resume_whole(cfg)
    with pytest.raises(FileNotFoundError, match='no checkpoint to resume from'):
        resume_whole(Config(dict(resume=True, load_from=str(Path(tmp_path, 'epoch_3.pth')))))


@pytest.mark.parametrize('kind', ['CheckpointHook', 'mmengine.hooks.CheckpointHook', CheckpointHook])
def test_mmengines_hook_is_replaced_and_others_stay(kind):
    cfg = Config(dict(default_hooks=dict(checkpoint=dict(type=kind, interval=7))))
    save_whole(cfg)
    assert cfg.default_hooks.checkpoint == dict(type='mmlgd.AtomicCheckpointHook', interval=7)
    for hook in (None, dict(type='mine.Hook')):
        cfg = Config(dict(default_hooks=dict(checkpoint=hook)))
        save_whole(cfg)
        assert cfg.default_hooks.checkpoint == hook
    cfg = Config(dict(model=dict()))
    save_whole(cfg)
    assert cfg.default_hooks.checkpoint.type == 'mmlgd.AtomicCheckpointHook'
