"""Torch's formats of checkpoints: a checkpoint describes its tensors, and their bytes are read only when needed.

A TorchScript file, and any checkpoint since torch 1.6, is a zip archive: ``data.pkl`` has the description, ``data/N``
the bytes of each memory. An older checkpoint is five pickles in a row: a magic number, a version, the system, the
checkpoint and a list of memories. The bytes of these memories follow.
"""

import mmap
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Union

import torch

from mmlgd.errors import brief, shown

from .pickles import Name, read_pickle

ZIP = b'PK\x03\x04'  # the first bytes of torch's checkpoints since 1.6
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # the first numbers of older ones
_BLOCK = 1 << 22
_NOT_SO = 'It does not describe its memories as torch does'


class Memory:
    """The memory of tensors.

    Args:
        size (int): In bytes.
        read (Callable, optional): Returns a stream at its first byte.
        place (Callable): Moves what was read to its device.
    """

    def __init__(self, size: int, read: Optional[Callable], place: Callable):
        self.size, self.read, self.place = size, read, place

    @cached_property
    def content(self) -> torch.UntypedStorage:
        """All bytes, read into new memory."""
        try:
            memory = torch.empty(self.size, dtype=torch.uint8)
        except RuntimeError as error:  # torch's error for a lack of memory
            raise MemoryError(f'There is no memory for {self.size:,} bytes.') from error
        view, start = memoryview(memory.numpy()), 0
        with self.read() as stream:
            while start < self.size:
                count = stream.readinto(view[start : start + _BLOCK])
                if not count:
                    raise EOFError(f'It ends {self.size - start} bytes early.')
                start += count
        return self.place(memory.untyped_storage())


class Storage(NamedTuple):
    """A part of a memory, read as numbers of one dtype; start and length count these numbers."""

    memory: Memory
    dtype: torch.dtype
    start: int
    length: int


def described(file: BinaryIO, named: Callable[[str], Any], place: Callable) -> Any:
    """Read a checkpoint without the bytes of its tensors.

    Args:
        file (BinaryIO): It has to stay open until the bytes of its tensors are read.
        named (Callable): What names in it stand for, see :func:`~mmlgd.checkpoints.pickles.read_pickle`. A storage
            class is a :class:`Name` of its dtype.
        place (Callable): Moves a ``torch.UntypedStorage`` to its device; the file gives a location for it.

    Returns:
        Any: The content, with a :class:`Storage` for each storage in the file.

    Raises:
        UnpicklingError: It holds something that is not allowed.
        Exception: Any other type, if the bytes are damaged.
    """
    start = file.read(len(ZIP))
    return (_of_zip if start == ZIP else _of_pickles)(file, named, place)


def _of_zip(file: BinaryIO, named: Callable, place: Callable) -> Any:
    archive = zipfile.ZipFile(file)
    members = archive.infolist()
    (tree,) = (name for name in archive.namelist() if name.endswith('/data.pkl') and name.count('/') == 1)
    root = tree.partition('/')[0]
    # The program of a TorchScript archive is never read.
    if fault := _fault([member for member in members if not member.filename.startswith(f'{root}/code/')], file):
        raise UnpicklingError(f'It {fault}.')
    if f'{root}/byteorder' in archive.namelist() and archive.read(f'{root}/byteorder') != b'little':
        raise UnpicklingError('It was written on a big-endian machine.')
    memories: dict[str, Memory] = {}

    def stored(told: Any) -> Storage:
        dtype, key, location, numel, _ = _told(told)
        if key not in memories:
            member = _member(archive, f'{root}/data/{key}')
            memories[key] = Memory(member.file_size, partial(archive.open, member), partial(place, location=location))
        return _storage(memories[key], dtype, numel)

    return read_pickle(BytesIO(archive.read(tree)), named, stored)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(name)
    except KeyError as error:
        raise UnpicklingError(f'It has no {shown(brief(name))}, which one of its tensors needs.') from error


def _of_pickles(file: BinaryIO, named: Callable, place: Callable) -> Any:
    memories: dict[str, Memory] = {}
    sizes: dict[str, int] = {}

    def stored(told: Any) -> Storage:
        dtype, key, location, numel, view = _told(told)
        if key not in memories:
            memories[key] = Memory(numel * dtype.itemsize, None, partial(place, location=location))
            sizes[key] = dtype.itemsize
        whole = _storage(memories[key], dtype, numel)
        if view is None:
            return whole
        _, start, length = view
        if type(start) is not int or type(length) is not int or not 0 <= start <= start + length <= numel:
            raise UnpicklingError(f'{_NOT_SO}: a part is {brief(view, 50)}.')
        return whole._replace(start=start, length=length)

    def plain(content: mmap.mmap) -> Any:
        return read_pickle(content, _nothing, _nothing)

    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[257:262] == b'ustar':
            raise UnpicklingError('It is a tar archive of torch before 0.2: load it with torch and save it again.')
        if (plain(content), plain(content)) != (_MAGIC, _VERSION):
            raise UnpicklingError('It does not begin with the numbers that torch writes.')
        if plain(content)['little_endian'] is not True:
            raise UnpicklingError('It was written on a big-endian machine.')
        checkpoint = read_pickle(content, named, stored)
        keys = plain(content)
        start = content.tell()
        texts = type(keys) is list and all(type(key) is str for key in keys)
        if not texts or sorted(keys) != sorted(memories):
            raise UnpicklingError(f'{_NOT_SO}: the list of memories differs from that of its tensors.')
        for key in keys:
            (count,) = struct.unpack_from('<q', content, start)
            start += 8
            if count * sizes[key] != memories[key].size or start + memories[key].size > len(content):
                raise EOFError(f'The {memories[key].size} bytes of its memory {key} are missing.')
            memories[key].read = partial(_at, file, start)
            start += memories[key].size
    return checkpoint


def _at(file: BinaryIO, start: int) -> nullcontext:
    file.seek(start)
    return nullcontext(file)


def _nothing(told: Any) -> None:
    raise UnpicklingError(f'It has {brief(told, 50)} where torch writes plain values.')


def _told(told: Any) -> tuple:
    """Check a file's reference to a memory, and return dtype, key, location, count of numbers, and the part of it."""
    told = told if type(told) is tuple else ()
    kind, storage, key, location, numel, view, *_ = (*told, *[None] * 6)
    dtype = storage.meaning if type(storage) is Name else None
    alright = len(told) in (5, 6) and kind == 'storage' and isinstance(dtype, torch.dtype) and type(numel) is int
    if location == 'meta':
        raise UnpicklingError(f'{_NOT_SO}: one has the device "meta", which has no numbers.')
    if not alright or type(key) is not str or type(location) is not str or numel < 0:
        raise UnpicklingError(f'{_NOT_SO}: one is {brief(told, 80)}.')
    return dtype, key, location, numel, view


def _storage(memory: Memory, dtype: torch.dtype, numel: int) -> Storage:
    if numel * dtype.itemsize != memory.size:
        raise UnpicklingError(f'It has {numel} numbers of {dtype} in a memory of {memory.size} bytes.')
    return Storage(memory, dtype, 0, numel)


@contextmanager
def opened(file: Union[str, Path]) -> Iterator[zipfile.ZipFile]:
    """Open an untrusted file as an archive.

    Args:
        file (str | Path): Any file.

    Yields:
        ZipFile: To read inside the block.

    Raises:
        BadZipFile: It is damaged, or has parts that no archive of torch has. Python raises five kinds of errors for
            this; they become this one.
        OSError: The file cannot be opened.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise zipfile.BadZipFile(shown(brief(str(error)))) from error


def archive_fault(file: Union[str, Path], through: bool = False) -> str:
    """Say what is wrong with a checkpoint in torch's zip format.

    Args:
        file (str | Path): Any file.
        through (bool): Read all of it, and compare its bytes with their checksums. Defaults to False.

    Returns:
        str: The fault, to follow the file's name in a message; empty if there is none.
    """
    try:
        with open(file, 'rb') as content, opened(content) as archive:
            if fault := _fault(archive.infolist(), content):
                return fault
            damaged = archive.testzip() if through else None
    except zipfile.BadZipFile as error:
        return f'is cut off, or is not a checkpoint ({shown(brief(str(error)))})'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    return f'has bytes that differ from their checksum (in {shown(brief(damaged))})' if damaged else ''


def _fault(members: list[zipfile.ZipInfo], file: BinaryIO) -> str:
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        return 'has compressed parts: torch never writes them, and a few bytes of them could fill the memory'
    if any(member.flag_bits & 1 for member in members):
        return 'has encrypted parts, which torch never writes'
    if sum(member.file_size for member in members) > file.seek(0, 2):
        return 'has parts that are larger than the file'
    if len({member.filename for member in members}) != len(members):
        return 'has two parts of the same name'
    if any(member.file_size for member in members) and not any(member.CRC for member in members):
        return (
            'has no checksums; torch.serialization.set_crc32_options(False) switches them off. Load it with torch.load '
            'and save it again with checksums'
        )
    return ''
