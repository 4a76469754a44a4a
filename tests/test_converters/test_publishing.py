"""A published file holds what a user needs and nothing else, under a name that vouches for it."""

import hashlib
import re

import pytest
import torch
from mmengine.registry import MODELS as ROOT
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

import mmlgd
from mmlgd.checkpoints import CheckpointError, read_checkpoint

from .conftest import FAULTS


@pytest.fixture
def published(students, tmp_path):
    written = mmlgd.publish(students['mobilenetv2'], tmp_path / 'zoo')
    assert list((tmp_path / 'zoo').iterdir()) == [written.file]
    return written.file


def test_the_name_holds_config_date_and_hash(published, students, tmp_path):
    digest = re.fullmatch(r'lgd_tiny_8xb256_20\d{6}-([0-9a-f]{8})\.pth', published.name).group(1)
    assert hashlib.sha256(published.read_bytes()).hexdigest().startswith(digest)
    again = mmlgd.publish(students['mobilenetv2'], tmp_path / 'again', name='configs/lgd/mine.py').file
    assert again.name.startswith('mine_') and again.name.endswith(f'-{digest}.pth')  # the same content, the same hash


def test_it_loads_as_plain_data_without_mmlgd(published):
    allowed = get_safe_globals()
    clear_safe_globals()
    try:
        content = torch.load(published, weights_only=True)
    finally:
        add_safe_globals(allowed)
    assert set(content) == {'meta', 'state_dict'}
    assert {key.split('.')[0] for key in content['state_dict']} == {'backbone', 'neck', 'textual_bank', 'visual_bank'}
    meta = content['meta']
    assert set(meta) == {'cfg', 'mmlgd_version', 'class_names', 'epoch', 'iter'}
    assert meta['mmlgd_version'] == mmlgd.__version__ and (meta['epoch'], meta['iter']) == (2, 6)
    assert meta['class_names'] == ['cat', 'dog', 'red panda']


@torch.no_grad()
def test_everything_that_reads_a_checkpoint_reads_it(published, students, images):
    for read in (mmlgd.get_student, mmlgd.get_zero_shot_classifier):
        ours, theirs = (read(path)(images) for path in (students['mobilenetv2'], published))
        torch.testing.assert_close(theirs, ours)
    init = dict(type='Pretrained', checkpoint=str(published), prefix='backbone.')
    model = ROOT.build(dict(type='mmpretrain.MobileNetV2', init_cfg=init))
    model.init_weights()
    for key, value in mmlgd.get_student(published).state_dict().items():
        assert torch.equal(model.state_dict()[key], value)


def test_a_download_is_checked_against_the_name(published, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    assert read_checkpoint(published.as_uri())['meta']['epoch'] == 2
    other = published.with_name(published.name.replace(published.stem[-8:], '00000000'))
    other.write_bytes(published.read_bytes())
    with pytest.raises(CheckpointError, match='invalid hash value'):
        read_checkpoint(other.as_uri())


def test_other_parts_are_dropped_and_named(students, tmp_path):
    content = torch.load(students['mobilenetv2'], weights_only=True)
    content['state_dict']['teacher.visual.proj'] = torch.zeros(2)
    del content['meta']['experiment_name']
    torch.save(content, tmp_path / 'more.pth')
    with pytest.raises(CheckpointError, match='does not name its config.*--name'):
        mmlgd.publish(tmp_path / 'more.pth', tmp_path / 'zoo')
    assert not (tmp_path / 'zoo').exists()
    written = mmlgd.publish(tmp_path / 'more.pth', tmp_path / 'zoo', name='mine')
    assert written.notes[0] == 'Dropped from the state dict: teacher.* (1).'
    assert not any('teacher.' in key for key in read_checkpoint(written.file)['state_dict'])


@pytest.mark.parametrize('folder, name', [('lgd_photos', 'lgd_photos'), ('my röntgen (2)', 'my_röntgen_2_')])
def test_a_run_of_pretrain_is_published_by_the_name_of_its_folder(students, tmp_path, folder, name):
    content = torch.load(students['mobilenetv2'], weights_only=True)
    content['meta']['experiment_name'] = 'pretrain_20260102_030405'
    run = tmp_path / folder
    run.mkdir()
    torch.save(content, run / 'epoch_2.pth')
    assert mmlgd.publish(run / 'epoch_2.pth', tmp_path / 'zoo').file.name.startswith('pretrain_')
    (run / 'recipe').mkdir()
    (run / 'recipe/pretrain.py').touch()
    assert mmlgd.publish(run / 'epoch_2.pth', tmp_path / 'zoo').file.name.startswith(f'{name}_2')


def test_a_queue_of_images_is_dropped(students, tmp_path):
    content = torch.load(students['mobilenetv2'], weights_only=True)
    content['state_dict']['visual_bank.pointer'] = torch.tensor(0)
    torch.save(content, tmp_path / 'seed.pth')
    written = mmlgd.publish(tmp_path / 'seed.pth', tmp_path / 'zoo', name='seed')
    assert written.notes[0] == 'Dropped from the state dict: visual_bank.* (3).'
    parts = {key.split('.')[0] for key in read_checkpoint(written.file)['state_dict']}
    assert parts == {'backbone', 'neck', 'textual_bank'}


@pytest.mark.parametrize('fault, message', FAULTS)
def test_a_bad_checkpoint_leaves_no_file(bad_checkpoint, fault, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        mmlgd.publish(bad_checkpoint(fault), tmp_path / 'zoo')
    assert not list(tmp_path.rglob('*.p*'))
