"""Checkpoints are read as data, and each bad one is refused with what to do."""

import errno
import os

import pytest
import torch
from torch import nn

from mmlgd.checkpoints import CheckpointError, check_weights, model_config, part_weights, read_checkpoint, state_dict_of


def test_the_parts_of_a_checkpoint_of_training(lgd_checkpoint, lgd_model):
    checkpoint = read_checkpoint(lgd_checkpoint)
    assert model_config(checkpoint).model.backbone == lgd_model['backbone']
    state = state_dict_of(checkpoint)
    assert len(part_weights(state, 'backbone')) == len(part_weights(state, 'backbone.')) > 50
    assert (
        state_dict_of({'state_dict': {f'module.{key}': value for key, value in state.items()}}).keys() == state.keys()
    )


def test_one_name_for_two_tensors_is_refused():
    state = {'backbone.a': torch.zeros(1), 'module.backbone.a': torch.ones(1)}
    with pytest.raises(CheckpointError, match='each tensor once; this one has both backbone.a'):
        state_dict_of(dict(state_dict=state))


def test_a_cut_off_checkpoint(lgd_checkpoint, tmp_path):
    data = lgd_checkpoint.read_bytes()
    for size in [0, 10, len(data) - 100, *range(1000, len(data), len(data) // 40)]:
        (tmp_path / 'cut.pth').write_bytes(data[:size])
        with pytest.raises(CheckpointError, match='cut off.*copy it again'):
            read_checkpoint(tmp_path / 'cut.pth')


@pytest.mark.parametrize('start', [b'<!DOCTYPE html>', b'version https://git-lfs', b'hello'])
def test_a_file_of_another_kind_is_told_by_its_beginning(tmp_path, start):
    (tmp_path / 'other.pth').write_bytes(start + b'\n' * 30)
    with pytest.raises(CheckpointError, match=f'not a checkpoint: it begins with {start!r}'[:-1]):
        read_checkpoint(tmp_path / 'other.pth')


def test_the_fault_of_a_disk_is_told(tmp_path, monkeypatch):
    def broken(file, map_location):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr('mmlgd.checkpoints.files._read', broken)
    (tmp_path / 'epoch_1.pth').write_bytes(b'words')
    with pytest.raises(CheckpointError, match='Input/output error'):
        read_checkpoint(tmp_path / 'epoch_1.pth')


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'executed'),)

    torch.save(dict(state_dict={}, extra=Malicious()), tmp_path / 'bad.pth')
    with pytest.raises(CheckpointError, match='not executed'):
        read_checkpoint(tmp_path / 'bad.pth')
    assert not (tmp_path / 'executed').exists()
    text = f'model = dict(type="LGD")\nx = __import__("os").mkdir({str(tmp_path / "executed")!r})'
    with pytest.raises(CheckpointError, match='plain settings'):
        model_config(dict(meta=dict(cfg=text)))
    assert not (tmp_path / 'executed').exists()


def test_missing_files_and_unreachable_ones(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        read_checkpoint(tmp_path / 'none.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(ConnectionError, match='without a network.*path'):
        read_checkpoint('http://127.0.0.1:9/none.pth')
    torch.save([1], tmp_path / 'list.pth')
    with pytest.raises(CheckpointError, match='a list, not a checkpoint'):
        read_checkpoint(tmp_path / 'list.pth')


@pytest.mark.parametrize(
    ('keys', 'advice'),
    [
        (['visual.conv1.weight', 'token_embedding.weight'], 'CLIP teacher'),
        (['conv1.weight', 'layer1.0.conv1.weight'], 'leave the prefix out'),
        (['student.conv1.weight'], 'change the prefix'),
    ],
)
def test_a_checkpoint_without_a_student(keys, advice):
    state = {key: torch.zeros(1) for key in keys}
    with pytest.raises(CheckpointError, match=rf'has no backbone\.\*.*{keys[0].split(".")[0]}\.\*.*{advice}'):
        part_weights(state, 'backbone')


def test_weights_that_do_not_fit():
    module = nn.Linear(3, 2)
    check_weights(module, module.state_dict())
    with pytest.raises(CheckpointError, match=r'1 missing \(bias\); 1 unexpected \(other\); 1 of another shape'):
        check_weights(module, dict(weight=torch.zeros(2, 4), other=torch.zeros(1)))


def test_a_checkpoint_that_does_not_say_how_it_was_built():
    with pytest.raises(CheckpointError, match='Give the config'):
        model_config(dict(state_dict={}))
    with pytest.raises(CheckpointError, match='has no model'):
        model_config(dict(meta=dict(cfg='a = 1')))


def test_names_out_of_a_file_are_shown_on_one_line():
    evil = '\x1b]0;x\x07\n' + 'x' * 100_000
    for call in (
        lambda: check_weights(nn.Linear(1, 1), {evil: torch.zeros(1), 5: torch.zeros(1)}),
        lambda: part_weights({evil: torch.zeros(1)}, 'backbone'),
    ):
        with pytest.raises(CheckpointError) as error:
            call()
        assert str(error.value).isprintable() and len(str(error.value)) < 1000
