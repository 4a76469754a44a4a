"""The images of all shards in order: where each one lies, in arrays that workers share, and kept for the next start."""

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Union

import numpy as np
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from mmlgd.errors import MissingFileError, shown
from mmlgd.utils.files import own_folder, write_whole
from mmlgd.utils.paths import cache_folder

from .tar_members import Member, images_of_tar

_VERSION = 3  # of what is kept, and of what a shard is refused for
_AT_A_TIME = 8  # shards
_Listing = dict[str, np.ndarray]  # of a shard: its names in one row, their ends there, offsets and sizes in bytes
_KEYS = ('names', 'ends', 'offsets', 'sizes')


class ShardIndex(Sequence):
    """The images of some shards.

    The headers of a shard are read once. What was found is kept in ``$MMLGD_CACHE/shards``, else ``~/.cache/mmlgd``,
    for as long as path, size and time of the shard stay the same. In a distributed run each rank begins with another
    shard, and takes what the others have kept by then.

    Args:
        shards (Sequence[str]): Tar files.
        endings (Sequence[str]): Of images, in lower case.

    Raises:
        MissingFileError: No shard has an image.
        ShardError: See :func:`~mmlgd.datasets.tar_members.images_of_tar`.

    Examples:
        >>> import tarfile, tempfile
        >>> shard = Path(tempfile.mkdtemp(), 'train-000000.tar')
        >>> with tarfile.open(shard, 'w') as tar:
        ...     for name in ('a/0.jpg', 'a/0.cls', 'a/1.png'):
        ...         tar.addfile(tarfile.TarInfo(name))
        >>> index = ShardIndex([str(shard)], ('.jpg', '.png'))
        >>> len(index), Path(index[1]['img_path']).relative_to(shard).as_posix()
        (2, 'a/1.png')
    """

    def __init__(self, shards: Sequence[str], endings: Sequence[str]):
        self.shards = list(shards)
        listings = _listings(self.shards, endings)
        if not any(len(one['sizes']) for one in listings):
            raise MissingFileError(
                f'There is no image in {len(shards)} shards, first {shown(self.shards[0])}: no member ends with '
                f'{" ".join(sorted(endings))}. The ending begins at the first dot of a name: KEY.jpg is an image, '
                f'KEY.small.jpg is not.'
            )
        self._starts = np.array([0, *accumulate(len(one['sizes']) for one in listings)])  # number of the first image
        self._names, self._offsets, self._sizes = (
            np.concatenate([one[key] for one in listings]) for key in ('names', 'offsets', 'sizes')
        )
        self._ends = np.concatenate([np.diff(one['ends'], prepend=0) for one in listings]).cumsum()

    def __len__(self) -> int:
        """Number of images."""
        return len(self._sizes)

    def __getitem__(self, k: Union[int, slice]) -> Union[dict, list[dict]]:
        """Describe an image.

        Args:
            k (int | slice): Its number, or those of several.

        Returns:
            dict | List[dict]: ``img_path``, the path of the shard and the name in it, and ``member``, a
            :class:`~mmlgd.datasets.tar_members.Member`.
        """
        if isinstance(k, slice):
            return [self[one] for one in range(len(self))[k]]
        k = range(len(self))[k]  # counts from the end, and ends a walk
        shard = self.shards[np.searchsorted(self._starts, k, 'right') - 1]
        name = self._names[self._ends[k - 1] if k else 0 : self._ends[k]].tobytes()
        member = Member(shard, int(self._offsets[k]), int(self._sizes[k]))
        return dict(img_path=f'{shard}/{name.decode(errors="surrogateescape")}', member=member)


def listing_of(shard: str, endings: Sequence[str]) -> _Listing:
    """List the images of a shard, from what is kept of it, or from its headers.

    Args:
        shard (str): A tar file.
        endings (Sequence[str]): Of images, in lower case.

    Returns:
        Dict[str, np.ndarray]: ``names`` (bytes of UTF-8), and for each image ``ends`` (of its name in ``names``),
        ``offsets`` and ``sizes``.

    Raises:
        ShardError: See :func:`~mmlgd.datasets.tar_members.images_of_tar`.
    """
    found = os.stat(shard)
    told = repr((_VERSION, os.path.realpath(shard), found.st_size, found.st_mtime_ns, sorted(endings)))
    digest = hashlib.sha256(told.encode(errors='surrogateescape')).hexdigest()[:32]
    file = cache_folder() / 'shards' / f'{digest}.safetensors'
    if file.is_file():
        try:
            return _kept(file)
        except (SafetensorError, OSError) as error:
            print_log(f'Cannot read the kept list {file} ({error}): reading the shard {shard} again.', 'current', 30)
    listing = _listing(images_of_tar(shard, endings))
    _keep(file, listing)
    return listing


def _listings(shards: list[str], endings: Sequence[str]) -> list[_Listing]:
    """List the images of each shard, several at a time: on a mounted disk, each header waits for the network."""
    rank, world_size = get_dist_info()
    first = rank * len(shards) // world_size
    order = [*range(first, len(shards)), *range(first)]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(lambda k: listing_of(shards[k], endings), order)
        told = dict(desc='lists of shards', delay=1, disable=None if rank == 0 else True)
        listings = dict(zip(order, tqdm(found, total=len(order), **told)))
    return [listings[k] for k in range(len(shards))]


def _listing(images: Iterator[tuple[str, Member]]) -> _Listing:
    found = [(name.encode(errors='surrogateescape'), member.offset, member.size) for name, member in images]
    names, offsets, sizes = zip(*found) if found else ((), (), ())
    return dict(
        names=np.frombuffer(b''.join(names), np.uint8),
        ends=np.array(list(accumulate(map(len, names))), np.int64),
        offsets=np.array(offsets, np.int64),
        sizes=np.array(sizes, np.int64),
    )


def _kept(file: Path) -> _Listing:
    with safe_open(file, 'np') as content:
        listing = {key: content.get_tensor(key) for key in _KEYS}
        if (content.metadata() or {}).get('crc32') != _checksum(listing):  # wrong places would be bad images
            raise SafetensorError('it differs from its checksum')
    return listing


def _checksum(listing: _Listing) -> str:
    return ' '.join(f'{zlib.crc32(listing[key]):08x}' for key in _KEYS)


def _keep(file: Path, listing: _Listing) -> None:
    try:
        own_folder(file.parent)
        write_whole(file, save(listing, dict(crc32=_checksum(listing))), shared=True)
    except OSError as error:
        reason = getattr(error.__cause__ or error, 'strerror', None) or error
        # The same words for each shard: mmengine says them once.
        print_log(
            f'Cannot keep lists of images in {shown(file.parent)} ({reason}): the next start reads the shards again.',
            'current',
            30,
        )
