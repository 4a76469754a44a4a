"""Writers that are killed, disks that are full, folders that are closed or taken: all for real."""

import ctypes
import errno
import hashlib
import os
import shutil
import stat
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest

from mmlgd.utils.files import (
    LockedError,
    UnreadableError,
    WriteError,
    digest_of,
    own_folder,
    read_small,
    require_file,
    require_writable,
    sole_writer,
    write_whole,
)
from tests import children

pytestmark = children.in_one_worker
root_only = pytest.mark.skipif(os.geteuid() != 0, reason='takes root, to become somebody who may not write')


def call(function, *arguments, log):
    code, said = children.run(function, *arguments, log=log)
    assert code == 0, said
    return said


def write_two(file, fault, *details):
    write_whole(file, b'the first, which is good')
    if fault is not None:
        fault(*details)
    write_whole(file, b'the second' * 1000)


def kill_before_the_name_changes():
    os.replace = lambda *paths: children.die()


@pytest.mark.parametrize('fault', [(children.die_in_write, 'note.txt*'), (kill_before_the_name_changes,)])
def test_an_existing_file_survives_a_kill(tmp_path, fault):
    file = tmp_path / 'note.txt'
    code, log = children.run(write_two, file, *fault, log=tmp_path / 'log')
    assert code == -9, log
    assert file.read_bytes() == b'the first, which is good'
    assert (tmp_path / 'note.txt.part').is_file()  # what the killed one leaves ...
    write_whole(file, b'the third')
    assert file.read_bytes() == b'the third'
    assert not (tmp_path / 'note.txt.part').exists()  # ... goes with the next


def test_a_file_is_not_held_whole_for_its_digest(tmp_path):
    with open(tmp_path / 'large.pth', 'wb') as file:
        file.truncate(2**25)
    tracemalloc.start()
    digest = digest_of(tmp_path / 'large.pth')
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert digest == hashlib.sha256(bytes(2**25)).hexdigest() and most < 2**23


def test_a_new_file_has_the_rights_of_any_other(tmp_path):
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / 'note.txt', b'', shared=True)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / 'note.txt').stat().st_mode) == 0o640


def mount_a_disk_of_64_kib(folder):
    """In a mount namespace of this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespaces = 0x20000 if os.geteuid() == 0 else 0x20000 | 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER
    if libc.unshare(namespaces) or libc.mount(b'none', b'/', None, 0x4000 | 0x40000, None):  # MS_REC, MS_PRIVATE
        return False
    return not libc.mount(b'tmpfs', os.fsencode(folder), b'tmpfs', 0, b'size=64k')


def fill_a_disk(folder):
    if not mount_a_disk_of_64_kib(folder):
        print('no mount')
        return
    file = folder / 'epoch_1.pth'
    write_whole(file, bytes(30_000))
    with pytest.raises(WriteError, match=r'No space left on device\. It takes 60000 bytes, and \d+ are free') as caught:
        write_whole(file, b'x' * 60_000)
    assert caught.value.errno == errno.ENOSPC and 'Make room there' in str(caught.value)
    assert file.read_bytes() == bytes(30_000) and os.listdir(folder) == ['epoch_1.pth']
    said = r'Cannot write .*/disk: No space left on device\. \d+ bytes are free\. '
    with pytest.raises(WriteError, match=said), sole_writer(folder), (folder / 'log').open('w') as log:
        log.write('x' * 60_000)
    assert file.read_bytes() == bytes(30_000)


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path):
    folder = tmp_path / 'disk'
    folder.mkdir()
    if 'no mount' in call(fill_a_disk, folder, log=tmp_path / 'log'):
        pytest.skip('takes the right to mount a small disk')


def write_where_not_allowed(folder):
    with pytest.raises(WriteError, match='note.txt: Permission denied.*Give a folder') as caught:
        write_whole(folder / 'note.txt', b'new')
    assert caught.value.errno == errno.EACCES
    with pytest.raises(WriteError, match='Permission denied'), sole_writer(folder):
        pass
    assert (folder / 'note.txt').read_bytes() == b'old'


@root_only
def test_a_folder_without_permission_is_named(tmp_path):
    folder = Path(tempfile.mkdtemp())  # the tests' own is closed to others
    try:
        folder.chmod(0o755)
        (folder / 'note.txt').write_bytes(b'old')
        call(children.as_nobody, write_where_not_allowed, folder, log=tmp_path / 'log')
    finally:
        shutil.rmtree(folder)


def hold_with_a_child_of_its_own(folder, mark):
    with sole_writer(folder):
        if os.fork() == 0:
            time.sleep(60)  # as a data loader's process, which finds out late that its parent is dead
            os._exit(0)
        mark.touch()
        time.sleep(60)


def test_a_folder_has_one_writer_and_a_killed_one_does_not_count(tmp_path):
    folder, mark = tmp_path / 'run', tmp_path / 'mark'
    first = children.Child(hold_with_a_child_of_its_own, folder, mark, log=tmp_path / 'log')
    first.until(mark.exists)
    said = rf'process {first.pid} on {os.uname().nodename}, since .*--work-dir'
    with pytest.raises(LockedError, match=said), sole_writer(folder):
        pass
    first.kill()
    with sole_writer(folder):
        assert f'process {os.getpid()} ' in (folder / '.lock').read_text()
    with sole_writer(folder):  # and again, after one that ended well
        pass


def write_many(file, letter):
    for _ in range(200):
        write_whole(file, letter * 100_000, shared=True)


def test_many_writers_of_one_file_leave_one_of_theirs(tmp_path):
    file = tmp_path / 'shared'
    writers = [children.Child(write_many, file, letter, log=tmp_path / 'log') for letter in (b'a', b'b', b'c')]
    for _ in range(50):
        content = file.read_bytes() if file.exists() else b'a' * 100_000
        assert len(content) == 100_000 and len(set(content)) == 1
        time.sleep(0.005)
    for writer in writers:
        code, log = writer.wait()
        assert code == 0, log
    assert sorted(os.listdir(tmp_path)) == ['log', 'shared']


def link_to(target):
    return lambda place: place.symlink_to(target)


def hard_link_to(target):
    return lambda place: os.link(target, place)


@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize('plant', [link_to, hard_link_to])
@pytest.mark.parametrize('name', ['note.txt', 'note.txt.part'])
def test_a_planted_link_is_replaced_and_its_target_stays(tmp_path, name, plant, shared):
    target, folder = tmp_path / 'target', tmp_path / 'run'
    target.write_text('precious')
    folder.mkdir()
    plant(target)(folder / name)
    write_whole(folder / 'note.txt', b'new', shared=shared)
    assert target.read_text() == 'precious' and (folder / 'note.txt').read_bytes() == b'new'
    assert not (folder / 'note.txt').is_symlink()


@pytest.mark.parametrize('plant', [link_to, hard_link_to, lambda target: os.mkfifo])
def test_a_lock_file_that_is_a_link_or_pipe_is_refused(tmp_path, plant):
    target, folder = tmp_path / 'target', tmp_path / 'run'
    target.write_text('precious')
    folder.mkdir()
    plant(target)(folder / '.lock')
    with pytest.raises(WriteError, match=r'\.lock is .*(Remove the link|Remove it)'), sole_writer(folder):
        pass
    assert target.read_text() == 'precious'


@pytest.mark.parametrize(
    'name', ['mine.py', '20260101_000000', '20260101_000000/vis_data', '20260101_000000/vis_data/config.py', 'recipe']
)
def test_a_planted_link_where_a_run_writes_is_refused(tmp_path, name):
    outside, folder = tmp_path / 'outside', tmp_path / 'run'
    outside.mkdir()
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(WriteError, match=f'{name} is a link to {outside}.*Remove the link'), sole_writer(folder):
        pass


def test_links_above_the_work_dir_are_followed(tmp_path):
    """The work dir itself, a folder above it, and what no run writes to."""
    (tmp_path / 'disk/runs/one').mkdir(parents=True)
    (tmp_path / 'runs').symlink_to(tmp_path / 'disk/runs')
    (tmp_path / 'runs/two').symlink_to(tmp_path / 'disk/runs/one')
    (tmp_path / 'runs/one/data').symlink_to(tmp_path)
    (tmp_path / 'runs/one/epoch_1.pth').symlink_to(tmp_path / 'disk/epoch_1.pth')
    for folder in (tmp_path / 'runs/one', tmp_path / 'runs/two'):
        with sole_writer(folder):
            write_whole(own_folder(folder / 'recipe') / 'note.txt', b'new')
    assert (tmp_path / 'disk/runs/one/recipe/note.txt').read_bytes() == b'new'


def test_a_folder_is_tried_before_the_work(tmp_path):
    require_writable(tmp_path / 'not/there/yet')
    (tmp_path / 'file').touch()
    (tmp_path / 'nowhere').symlink_to(tmp_path / 'missing')
    for folder in (tmp_path / 'file', tmp_path / 'file/below', tmp_path / 'nowhere/below', Path('/proc/there/is/none')):
        with pytest.raises(WriteError, match=f'Cannot write {folder}'):
            require_writable(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['file', 'nowhere']


def test_only_regular_files_of_limited_size_are_read(tmp_path):
    (tmp_path / 'plain').write_bytes(b'content')
    (tmp_path / 'link').symlink_to('plain')
    (tmp_path / 'device').symlink_to('/dev/zero')
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'sparse').touch()
    os.truncate(tmp_path / 'sparse', 2**40)
    before = len(os.listdir('/proc/self/fd'))
    for read in (read_small, require_file):
        assert read(tmp_path / 'plain') in (b'content', None) and read(tmp_path / 'link', 7) in (b'content', None)
        with pytest.raises(UnreadableError, match='link cannot be read: it has 7 bytes, expected 6 at most'):
            read(tmp_path / 'link', 6)
        for name in ('device', 'pipe', '.'):
            with pytest.raises(UnreadableError, match='it is a (folder|pipe or a device)'):
                read(tmp_path / name)
        with pytest.raises(FileNotFoundError):
            read(tmp_path / 'missing')
    with pytest.raises(UnreadableError, match='1099511627776 bytes'):
        read_small(tmp_path / 'sparse')
    assert len(os.listdir('/proc/self/fd')) == before
