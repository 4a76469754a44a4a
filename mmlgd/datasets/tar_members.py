"""The images in a tar file, in the layout of webdataset: found by its headers, read one by one."""

import math
import re
import shlex
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmlgd.errors import MMLGDError, sentence, shown
from mmlgd.utils.files import UnreadableError, require_file

# KEY.ENDING: the key ends at the first dot of the last part of the name, and may have folders. webdataset keeps names
# such as __meta__ for itself.
_NAME = re.compile(r'(?s)(?!__[^/]*__(?:/|$))((?:.*/)?[^./]+)\.([^/]+)')
_COMPRESSED = {  # the programs that unpack a file, and the ending that they ask of it
    b'\x1f\x8b': ('gunzip', '.gz'),
    b'BZh': ('bunzip2', '.bz2'),
    b'\xfd7zXZ': ('unxz', '.xz'),
    b'\x28\xb5\x2f\xfd': ('unzstd', '.zst'),
}
_BLOCK = 512  # bytes; a block of zeros ends an archive
_MOST_ZEROS = 2**20  # bytes at the end: tar fills up a record of 10,240, unless told otherwise


class ShardError(MMLGDError, ValueError):
    """A tar file that cannot be read as a shard of images."""


class Member(NamedTuple):
    """An image in a shard: a range of bytes.

    Attributes:
        shard (str): The tar file.
        offset (int): Where the bytes of the image begin.
        size (int): Number of bytes.
    """

    shard: str
    offset: int
    size: int

    def read(self, most: float = math.inf) -> bytes:
        """Read the bytes of the image, and nothing else of the shard.

        Args:
            most (float): Largest size in bytes. Defaults to no limit.

        Returns:
            bytes: All of it.

        Raises:
            UnreadableError: It is larger, or the shard has become shorter.
            OSError: The shard cannot be read.
        """
        if self.size > most:
            raise UnreadableError.of(self.shard, f'it has {self.size} bytes, expected {most} at most')
        with open(self.shard, 'rb') as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise UnreadableError.of(self.shard, 'the shard has become shorter since its images were listed')
        return content


def images_of_tar(shard: str, endings: Sequence[str]) -> Iterator[tuple[str, Member]]:
    """List the images of a shard: only headers are read. All other members are left out.

    Args:
        shard (str): A tar file that is not compressed.
        endings (Sequence[str]): In lower case: ``'.jpg'`` finds ``a/b.jpg`` and ``a/b.JPG``, but not ``a/b.seg.jpg``,
            which webdataset takes for another part of the sample ``a/b``.

    Yields:
        Tuple[str, Member]: Name and place, in the order of the shard.

    Raises:
        ShardError: It is compressed, cut off, damaged or no tar file, has two images with the same key, or an image
            whose bytes are elsewhere: a link, or one with holes.
        UnreadableError: It is a pipe or a device.
        OSError: It cannot be read.

    Examples:
        >>> import io, os, tempfile
        >>> shard = os.path.join(tempfile.mkdtemp(), 'train-000000.tar')
        >>> with tarfile.open(shard, 'w') as tar:
        ...     for name in ('a/0.jpg', 'a/0.cls', 'a/1.jpg'):
        ...         tar.addfile(tarfile.TarInfo(name))
        >>> [name for name, _ in images_of_tar(shard, ('.jpg', '.png'))]
        ['a/0.jpg', 'a/1.jpg']
    """
    require_file(shard)
    keys: dict[str, str] = {}
    for member in _members(shard):
        found = _NAME.fullmatch(member.name)
        if not (found and f'.{found[2].lower()}' in endings and (member.isreg() or member.issym() or member.islnk())):
            continue
        if not member.isreg():
            raise ShardError(
                f'The image {shown(member.name)} in the shard {shown(shard)} is a link to {shown(member.linkname)}, so '
                f'its bytes are not there. Write the shard again, with the options --dereference and '
                f'--hard-dereference of tar.'
            )
        if found[1] in keys:
            raise ShardError(
                f'The shard {shown(shard)} has the key {shown(found[1])} twice: {shown(keys[found[1]])} and '
                f'{shown(member.name)}. Each image needs a key of its own in its shard: write the shard again. Or, '
                f'if one of two endings is no image to train on, such as a mask, give the other one alone: '
                f'train_dataloader.dataset.extensions=[.jpg].'
            )
        if member.issparse():
            raise ShardError(
                f'The image {shown(member.name)} in the shard {shown(shard)} is stored with holes, so its bytes are '
                f'not in one piece. Write the shard again, without the option --sparse (-S) of tar.'
            )
        keys[found[1]] = member.name
        yield member.name, Member(shard, member.offset_data, member.size)


def _members(shard: str) -> Iterator[tarfile.TarInfo]:
    """Walk over the headers. tarfile itself takes a damaged header for the end of the archive."""
    try:
        with tarfile.open(shard, 'r:', encoding='utf-8') as tar:
            at = -1
            while (member := tar.next()) is not None:
                if tar.offset <= at:  # a negative size, which would lead round in a circle
                    raise tarfile.ReadError(f'a header at byte {at} leads back to byte {tar.offset}')
                at = tar.offset
                tar.members.clear()  # it would keep a kilobyte of each
                yield member
            tar.fileobj.seek(tar.offset)
            end = tar.fileobj.read(_MOST_ZEROS + 1)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        _refuse_compressed(shard)
        raise _damaged(shard, f'it is cut off, damaged or no tar file: {sentence(error)}') from error
    if len(end) < _BLOCK:
        raise _damaged(shard, 'it is cut off: the blocks of zeros that end a tar file are missing.')
    if end[:_BLOCK].strip(b'\0'):
        raise _damaged(shard, f'it is damaged at byte {tar.offset}, where a header was expected.')
    if len(end) > _MOST_ZEROS or end.strip(b'\0'):
        raise _damaged(
            shard,
            f'it ends at byte {tar.offset}, and the file goes on. Zeros stand in the place of the rest, as in a copy '
            f'that was not finished; or it is several tar files in one.',
        )


def _damaged(shard: str, reason: str) -> ShardError:
    return ShardError(f'The shard {shown(shard)} cannot be used: {reason} Copy it again from its source.')


def _refuse_compressed(shard: str) -> None:
    with open(shard, 'rb') as file:
        start = file.read(8)
    for magic, (program, ending) in _COMPRESSED.items():
        if start.startswith(magic):
            here = named = shlex.quote(shown(shard))
            if shard.lower().endswith('.tar'):
                named = shlex.quote(shown(f'{shard}{ending}'))
            rename = f'mv {here} {named} && ' if named != here else ''
            raise ShardError(
                f'The shard {shown(shard)} is compressed, so an image in it cannot be read without all before it. '
                f'Unpack it once, which costs little space, because images are compressed already: '
                f'{rename}{program} {named}'
            )
