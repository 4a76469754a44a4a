"""Downloads are what their hash says, and land in torch's folder and nowhere else."""

import contextlib
import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.errors import DownloadError, MissingFileError, MMLGDError


@pytest.fixture
def content(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(2))), tmp_path / 'good.pth')
    return (tmp_path / 'good.pth').read_bytes()


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path / 'torch/hub/checkpoints'


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('read', [read_checkpoint, CheckpointLoader.load_checkpoint])
def test_a_download_with_a_wrong_hash_is_refused(read, served, content, hub, loads_safely):
    folder, host = served
    name = f'student_20260102-{digest(content)[:8]}.pth'
    (folder / name).write_bytes(content)
    assert torch.equal(read(f'{host}/{name}')['state_dict']['w'], torch.ones(2))
    assert [file.name for file in hub.iterdir()] == [name]
    (hub / name).unlink()
    (folder / name).write_bytes(content + b'x')
    with pytest.raises(CheckpointError, match=r'invalid hash value.*#sha256='):
        read(f'{host}/{name}')
    assert not list(hub.iterdir())  # nothing of it stays


def test_a_hash_in_the_address_is_compared(served, content, hub):
    folder, host = served
    (folder / 'student.pth').write_bytes(content)
    assert read_checkpoint(f'{host}/student.pth#sha256={digest(content)}')
    with pytest.raises(CheckpointError, match='invalid hash value'):
        read_checkpoint(f'{host}/student.pth#sha256={"0" * 64}')
    with pytest.raises(CheckpointError, match='64 hexadecimal digits'):
        read_checkpoint(f'{host}/student.pth#sha256=abc')
    # It has the last word over the name.
    (folder / 'student-00000000.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='invalid hash value'):
        read_checkpoint(f'{host}/student-00000000.pth')
    assert read_checkpoint(f'{host}/student-00000000.pth#sha256={digest(content)}')


def test_a_cached_download_is_compared_again(served, content, hub):
    folder, host = served
    name = f'student-{digest(content)[:8]}.pth'
    (folder / name).write_bytes(content)
    hub.mkdir(parents=True)
    (hub / name).write_bytes(b'somebody was here')
    assert read_checkpoint(f'{host}/{name}')['state_dict']
    assert (hub / name).read_bytes() == content


def test_an_address_without_a_hash_has_its_own_folder(served, hub, monkeypatch):
    folder, host = served
    warnings = []
    monkeypatch.setattr('mmlgd.checkpoints.files.print_log', lambda text, *arguments: warnings.append(text))
    for number, place in enumerate(('evil', 'good')):
        (folder / place).mkdir()
        torch.save(dict(number=number), folder / place / 'student.pth')
    for count in range(2):
        assert read_checkpoint(f'{host}/evil/student.pth') == dict(number=0)
        assert read_checkpoint(f'{host}/good/student.pth') == dict(number=1)
        assert read_checkpoint(f'{host}/good/student.pth?of=evil') == dict(number=1)
        assert len(warnings) == 3 * (count + 1) and all('no hash' in text for text in warnings)
        shutil.rmtree(folder / 'good', ignore_errors=True)  # the second time, all are here
    assert len(list(hub.iterdir())) == 3
    good = read_checkpoint(f'{host}/evil/student.pth')
    name = f'student-{digest((folder / "evil/student.pth").read_bytes())[:8]}.pth'
    (folder / name).write_bytes((folder / 'evil/student.pth').read_bytes())
    assert read_checkpoint(f'{host}/{name}') == good and (hub / name).is_file()


def test_a_local_file_with_a_published_name_is_compared(content, tmp_path):
    good = tmp_path / f'student_20260102-{digest(content)[:8]}.pth'
    good.write_bytes(content)
    assert read_checkpoint(good)
    for name in ('run-20261124.pth', 'student-00000000.pth'):  # no hash, or not one of ours
        (tmp_path / name).write_bytes(content)
        assert read_checkpoint(tmp_path / name)
    wrong = tmp_path / 'student_20260102-00000000.pth'
    wrong.write_bytes(content)
    with pytest.raises(CheckpointError, match='does not begin with 00000000.*another name'):
        read_checkpoint(wrong)


@pytest.mark.parametrize('size', [0, 100, -1])
def test_the_error_of_a_truncated_download_names_the_cached_file(size, served, content):
    folder, host = served
    (folder / 'cut.pth').write_bytes(content[:size])
    with pytest.raises(CheckpointError, match=r'kept in .*cut\.pth'):
        read_checkpoint(f'{host}/cut.pth')


@pytest.mark.parametrize(
    'address',
    ['{host}/none.pth', 'http://127.0.0.1:9/a.pth', 'http:///a.pth', 'http://[/a.pth', 'http://host:x/a.pth'],
)
def test_unreachable_and_invalid_addresses_are_refused(address, served):
    with pytest.raises(MMLGDError):
        read_checkpoint(address.format(host=served[1]))


def test_kinds_of_errors(served, tmp_path):
    with pytest.raises(DownloadError, match='[Nn]ot [Ff]ound.*give its path'):
        read_checkpoint(f'{served[1]}/none.pth')
    with pytest.raises(MissingFileError, match='no checkpoint at'):
        read_checkpoint(tmp_path / 'none.pth')


def test_the_folder_of_a_run_is_no_checkpoint_but_has_some(tmp_path):
    with pytest.raises(MissingFileError, match='is a folder, .* no .pth file in it'):
        read_checkpoint(tmp_path)
    (tmp_path / 'best_mIoU_iter_3.pth').touch()
    with pytest.raises(MissingFileError, match='expected the file of a checkpoint, such as .*best_mIoU_iter_3.pth'):
        read_checkpoint(tmp_path)
    for name in ('epoch_10.pth', 'epoch_9.pth'):  # the newer one is a copy of an earlier step
        (tmp_path / name).touch()
    with pytest.raises(MissingFileError, match='is a folder, .* its last one, .*epoch_10.pth'):
        read_checkpoint(tmp_path)
    (tmp_path / 'last_checkpoint').write_text('/where/it/was/epoch_9.pth')  # 10 is of an earlier run
    with pytest.raises(MissingFileError, match='is a folder, .* its last one, .*epoch_9.pth'):
        read_checkpoint(tmp_path)


def test_a_missing_checkpoint_names_the_others_of_its_folder(tmp_path):
    with pytest.raises(MissingFileError, match='no checkpoint at .*prints the path'):
        read_checkpoint(tmp_path / 'epoch_200.pth')
    with pytest.raises(MissingFileError, match='no checkpoint at .*prints the path'):
        read_checkpoint(tmp_path / 'RUN/epoch_200.pth')
    for name in ('epoch_5.pth', 'epoch_10.pth'):
        (tmp_path / name).touch()
    with pytest.raises(MissingFileError, match='no checkpoint at .*epoch_200.* its last one, .*epoch_10.pth'):
        read_checkpoint(tmp_path / 'epoch_200.pth')
    with pytest.raises(MissingFileError, match='no checkpoint at'):
        read_checkpoint(300 * 'a')


@pytest.mark.parametrize(
    'tail', ['', '/', '/..', '/../..', '/a/..', '/..%2f..%2fx.pth', '/a\\..\\x.pth', '/.pth/..', '/%00.pth']
)
def test_an_address_does_not_choose_the_folder(tail, served, content, hub, tmp_path):
    folder, host = served
    (folder / 'x.pth').write_bytes(content)
    before = {path for path in tmp_path.rglob('*') if hub not in path.parents}
    with contextlib.suppress(MMLGDError):
        read_checkpoint(host + tail)
    after = {path for path in tmp_path.rglob('*') if hub not in path.parents}
    assert after - before <= {tmp_path / 'torch', tmp_path / 'torch/hub', hub}


@pytest.mark.parametrize('name', ['~nobody_of_this_name/a.pth', 'a' * 5000, 'a\0b', ''])
def test_impossible_file_names_are_refused(name):
    with pytest.raises(MissingFileError):
        read_checkpoint(name)


@pytest.mark.parametrize('name', ['a.pth', 'a_20261125-00000000.pth'])
def test_a_file_without_permission_is_refused(name, tmp_path, monkeypatch):
    """Root may read all of them."""

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, 'Permission denied')

    (tmp_path / name).write_bytes(b'a')
    monkeypatch.setattr(Path, 'open', refuse)
    with pytest.raises(CheckpointError, match='cannot be read: Permission denied'):
        read_checkpoint(tmp_path / name)


def test_a_file_of_safetensors_is_called_so(tmp_path):
    save_file(dict(w=torch.ones(2)), tmp_path / 'model.safetensors')
    with pytest.raises(CheckpointError, match=r'cannot be read here: it has the format of safetensors.*torch\.save\('):
        read_checkpoint(tmp_path / 'model.safetensors')
