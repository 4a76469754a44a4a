"""Files that are either complete or absent, and folders that only one run at a time writes to."""

import errno
import hashlib
import io
import math
import os
import shutil
import socket
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Union

from mmengine.logging import print_log

from mmlgd.errors import MMLGDError, shown

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_LOCK = '.lock'
# Paths that a run or the writer of a store always writes: mmengine's copy of the config, its log folders, and our own
# folders.
_LOGS = '[0-9]*_[0-9]*'
_WRITTEN = ('*.py', _LOGS, f'{_LOGS}/*', f'{_LOGS}/vis_data/*', 'broken_steps', 'recipe', 'shards')
SMALL = 2**26  # bytes: far more than any text file that people write, such as settings, lists and class names
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class WriteError(MMLGDError, OSError):
    """A file that could not be written; existing files are unchanged."""


class LockedError(MMLGDError, RuntimeError):
    """A folder that another run is writing to."""


class UnreadableError(MMLGDError, ValueError):
    """A path that is not a regular file, or a file that is too large.

    Args:
        message (str): For the user.
        reason (str): What is wrong, to follow a file's name. Defaults to ``message``.
    """

    def __init__(self, message: str, reason: str = ''):
        super().__init__(message)
        self.reason = reason or message

    @classmethod
    def of(cls, file: Union[str, Path], reason: str) -> 'UnreadableError':
        """Write the message.

        Args:
            file (str | Path): The file.
            reason (str): What is wrong with it.

        Returns:
            UnreadableError: The error to raise.
        """
        return cls(f'{shown(file)} cannot be read: {reason}. Copy it again from its source.', reason)


def read_small(file: Union[str, Path], most: int = SMALL) -> bytes:
    """Read an untrusted file; refuse pipes and devices, which may never end.

    Args:
        file (str | Path): The file. A link is followed.
        most (int): Largest size in bytes. Defaults to 67,108,864.

    Returns:
        bytes: All of it.

    Raises:
        UnreadableError: It is a pipe, a device or larger than ``most``; nothing is read.
        OSError: It does not exist, or is not readable.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), 'names.txt')
        >>> _ = file.write_bytes(b'cat')
        >>> read_small(file)
        b'cat'
    """
    # O_NONBLOCK: opening a pipe does not wait for its writer. The check uses the open file, which cannot be exchanged.
    handle = os.open(file, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0))
    found = os.fstat(handle)
    try:
        _require(file, found, most)
    except UnreadableError:
        os.close(handle)
        raise
    with open(handle, 'rb') as content:
        return content.read(found.st_size)


def digest_of(file: Union[str, Path]) -> str:
    """Compute the SHA-256 of a file in parts: it may be larger than the memory.

    Args:
        file (str | Path): The file.

    Returns:
        str: 64 hexadecimal digits.

    Raises:
        OSError: It does not exist, or is not readable.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), 'names.txt')
        >>> _ = file.write_bytes(b'cat')
        >>> digest_of(file)[:8]
        '77af778b'
    """
    digest = hashlib.sha256()
    with Path(file).open('rb') as content:
        for block in iter(lambda: content.read(2**20), b''):
            digest.update(block)
    return digest.hexdigest()


def require_file(file: Union[str, Path], most: float = math.inf) -> None:
    """Refuse a pipe, a device or a large file before a library opens it: it would wait forever or fill the memory.

    Args:
        file (str | Path): The file that a library is about to read. A link is followed.
        most (float): Largest size in bytes. Defaults to no limit.

    Raises:
        UnreadableError: It is a pipe or a device, or larger.
        OSError: It does not exist.
    """
    _require(file, os.stat(file), most)


def _require(file: Union[str, Path], found: os.stat_result, most: float) -> None:
    if not stat.S_ISREG(found.st_mode):
        is_folder = stat.S_ISDIR(found.st_mode)
        raise UnreadableError.of(file, 'it is a folder' if is_folder else 'it is a pipe or a device, not a file')
    if found.st_size > most:
        raise UnreadableError.of(file, f'it has {found.st_size} bytes, expected {most} at most')


def write_whole(file: Union[str, Path], content: Union[bytes, memoryview], shared: bool = False) -> None:
    """Write a file as a whole: readers see all of it or nothing, also after a kill, a full disk or a power failure.

    The content goes into a temporary file in the same folder, which is synchronised with the disk and then renamed.

    Args:
        file (str | Path): Its folder has to exist. A file of this name is replaced.
        content (bytes | memoryview): All of it.
        shared (bool): Other processes may write the same file at the same moment; the last one wins. Defaults to
            False: the next writer then overwrites the temporary file of a killed one (``.part``).

    Raises:
        WriteError: The disk is full, or the folder not writable; the message names the bytes and what to do.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), 'note.txt')
        >>> write_whole(file, b'all of it')
        >>> file.read_bytes()
        b'all of it'
    """
    file = Path(file)
    part = file.with_name(f'{file.name}.{uuid.uuid4().hex[:8]}.part' if shared else f'{file.name}.part')
    try:
        with open_anew(part) as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, file)
        _sync_folder(file.parent)
    except OSError as error:
        raise _explained(error, file, len(content)) from error
    finally:
        with suppress(OSError):  # after the renaming it no longer exists
            part.unlink()


def write_by(write: Callable[[IO[bytes]], Any], file: Union[str, Path]) -> None:
    """Write a file as a whole, as :func:`write_whole` does, whose content a library writes into a stream.

    Args:
        write (Callable[[IO[bytes]], Any]): Writes the content into the stream that it gets.
        file (str | Path): Its folder has to exist. A file of this name is replaced.

    Raises:
        WriteError: The disk is full, or the folder not writable.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), 'note.txt')
        >>> write_by(lambda stream: stream.write(b'all of it'), file)
        >>> file.read_bytes()
        b'all of it'
    """
    content = io.BytesIO()
    write(content)
    write_whole(file, content.getvalue())


def open_anew(file: Path) -> IO[bytes]:
    """Open a new file for writing. Remove an existing file or link of this name first, so that no link is followed.

    Args:
        file (Path): Its folder has to exist.

    Returns:
        IO[bytes]: The new, empty file.

    Raises:
        OSError: A folder has this name, or the folder is not writable.
    """
    file.unlink(missing_ok=True)
    return file.open('xb')  # this mode follows no link


def own_folder(folder: Path) -> Path:
    """Make a folder inside a work dir or a store, and refuse a link in its place.

    A work dir from somebody else may contain a link that leads anywhere. The work dir itself, and any folder above it,
    may be a link.

    Args:
        folder (Path): The folder that a run is about to write to.

    Returns:
        Path: The same.

    Raises:
        WriteError: It is a link.
        OSError: It cannot be created.
    """
    refuse_link(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def refuse_link(path: Path) -> None:
    """Refuse to write through a link.

    Args:
        path (Path): The path that a run is about to write to; it need not exist.

    Raises:
        WriteError: It is a link; the message says where it leads.
    """
    if path.is_symlink():
        raise WriteError(
            f'{path} is a link to {os.readlink(path)}, and writing here would change its target. Remove the link. '
            f'To write to another disk, give a folder there, or make the whole work dir (or store) a link.'
        )


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power failure; Windows and some file systems cannot do this for a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _explained(error: OSError, file: Path, size: int = 0) -> WriteError:
    """Make an error that names the file, the missing space if the disk is full, and the next step."""
    figures = ''
    if error.errno in _FULL:
        free = 'an unknown number of'
        with suppress(OSError):  # of the nearest folder that exists
            free = shutil.disk_usage(next(place for place in (file, *file.parents) if place.is_dir())).free
        figures = f'It takes {size} bytes, and {free} are free. ' if size else f'{free} bytes are free. '
        advice = 'Make room there, or raise the quota or the limit of file sizes (ulimit -f)'
    else:
        advice = 'Give a folder that can be written to, or allow writing there'
    told = WriteError(
        f'Cannot write {file}: {error.strerror or error}. {figures}Existing files are unchanged. {advice}, '
        f'and run the same command again (a training: with --resume).'
    )
    told.errno = error.errno
    return told


def require_writable(folder: Union[str, Path]) -> None:
    """Refuse an output folder that cannot be created or written to, before the work starts.

    Args:
        folder (str | Path): It need not exist; the check leaves no file in it.

    Raises:
        WriteError: It, or the nearest path above it that exists, is not a folder or not writable.

    Examples:
        >>> import tempfile
        >>> require_writable(Path(tempfile.mkdtemp(), 'results', 'mine'))
    """
    folder = Path(folder)
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise _explained(error, folder) from error


@contextmanager
def sole_writer(folder: Union[str, Path]) -> Iterator[None]:
    """Lock a folder, so that a second run cannot write there.

    The operating system releases the lock when this process ends, however it ends: a killed run never blocks the next
    one. Where the file system (or Windows) has no such locks, a warning says so.

    Args:
        folder (str | Path): Created if it does not exist.

    Raises:
        LockedError: Another process holds the lock; the message names process and host.
        WriteError: The folder is not writable, a path that a run writes in it is a link, or its disk is full. A full
            disk raises this error also when another library writes inside the block.

    Examples:
        >>> import tempfile
        >>> with sole_writer(tempfile.mkdtemp()):
        ...     pass
    """
    file = Path(folder) / _LOCK
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for path in (file, *(path for pattern in _WRITTEN for path in file.parent.glob(pattern))):
            refuse_link(path)
        handle = _open_lock(file)
    except WriteError:
        raise
    except OSError as error:
        raise _explained(error, file) from error
    with handle:
        # A record lock. With flock, a data loader's process would inherit the lock and keep it after a kill.
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, 'no locks on this system')
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                handle.seek(0)
                raise LockedError(
                    f'Another run writes to {str(folder)!r} ({handle.read().strip() or "it has just started"}), and '
                    f'two would overwrite each other. Wait for it, stop it, or give another folder: --work-dir for '
                    f'training, --out for a store.'
                ) from error
            print_log(
                f'Cannot lock {folder} ({error.strerror}): make sure that no second run writes there.', 'current', 30
            )
        with suppress(OSError):  # if the disk is full, the lock still holds, without this text
            handle.truncate(0)
            handle.write(f'process {os.getpid()} on {socket.gethostname()}, since {time.ctime()}\n')
            handle.flush()
        try:
            yield
        except OSError as error:  # for example when mmengine writes a log
            if error.errno in _FULL and not isinstance(error, WriteError):
                raise _explained(error, Path(error.filename or folder)) from error
            raise


def _open_lock(file: Path) -> IO[str]:
    """Open the lock file; refuse a link or a pipe of its name."""
    follow_none = getattr(os, 'O_NOFOLLOW', 0)  # Windows has no such flag
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | follow_none, 0o666)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # a hard link may lead to any file
        os.close(handle)
        raise WriteError(f'{file} is a link, a hard link or a pipe. Remove it, so that a lock can be made.')
    return os.fdopen(handle, 'a+')
