"""Tar shards: which files they are. A user gives a pattern, a folder or a single file."""

import math
import os
import re
from itertools import islice
from pathlib import Path
from typing import Union

from braceexpand import UnbalancedBracesError, braceexpand

from mmlgd.errors import ConfigError, MissingFileError, shown
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .folder import images_in

_ENDINGS = ('.tar', '.tar.gz', '.tgz', '.tar.bz2', '.tar.xz', '.tar.zst')  # all but the first get an error of their own
_RANGE = re.compile(r'{(-?\d+)\.\.(-?\d+)')
_MOST = 1_000_000  # shards: more are a typing error


def shards_of(source: Union[str, Path]) -> list[str]:
    """Find the shards that a text stands for.

    Args:
        source (str | Path): Paths with braces, as a shell expands them: ``train-{000000..000009}.tar``; a folder, whose
            ``.tar`` files are taken with those of its sub-folders; or a single file.

    Returns:
        List[str]: Paths, at least one, in the order of the pattern, or sorted in a folder.

    Raises:
        MissingFileError: One of the files is missing, or the folder has none, or a compressed one.
        ConfigError: It is a URL or a command, or its braces are not balanced, or stand for a shard twice.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for k in range(3):
        ...     (folder / f'train-{k:06d}.tar').touch()
        >>> [Path(shard).name for shard in shards_of(folder / 'train-{000000..000001}.tar')]
        ['train-000000.tar', 'train-000001.tar']
        >>> len(shards_of(folder))
        3
    """
    refuse_remote(source)
    source = os.path.expanduser(source)
    if os.path.isdir(source):
        found = [os.path.join(source, name) for name in sorted(images_in(source, _ENDINGS))]
        packed = [shard for shard in found if not shard.lower().endswith('.tar')]
        if packed or not found:
            what = (
                f'{shown(packed[0])} is compressed'
                if packed
                else f'No file in {shown(source)} or its sub-folders ends with .tar'
            )
            raise MissingFileError(
                f'{what}. Give a folder of shards, or a pattern such as '
                f"'train-{{000000..000009}}.tar'. Compressed shards (.tar.gz) have to be unpacked first."
            )
        return found
    found = [source] if os.path.isfile(source) else _expanded(source)
    if len(set(found)) < len(found):
        raise ConfigError(f'{shown(source)} stands for {len(found) - len(set(found))} shards twice. Check its braces.')
    if missing := [shard for shard in found if not os.path.isfile(shard)]:
        raise MissingFileError(
            f'{len(missing)} of {len(found)} shards of {shown(source)} are missing, first {shown(missing[0])}. Copy '
            f"them there, or give the shards that exist: '{{000000..000009}}' counts from the first number to the "
            f"last, and a folder stands for all of its shards. '*' and '?' are characters of a name."
        )
    return found


def are_shards(images: Union[str, Path]) -> bool:
    """Check whether images lie in shards: tar files by their names, or a folder that has some, and no image.

    Args:
        images (str | Path): What a user gave as images.

    Returns:
        bool: False for a folder of images, also if there is a tar file beside them.

    Examples:
        >>> are_shards('train-{000000..000009}.tar'), are_shards('photos')
        (True, False)
    """
    if not os.path.isdir(images):
        return str(images).lower().endswith(_ENDINGS)
    if next(images_in(images, IMAGE_SUFFIXES), None):  # at once: a folder of a million images is not searched for more
        return False
    return next(images_in(images, _ENDINGS), None) is not None


def refuse_remote(source: Union[str, Path]) -> None:
    """Refuse the URLs and commands that webdataset reads: images are read at random places, without a network.

    Args:
        source (str | Path): What a user gave as images.

    Raises:
        ConfigError: It is one of these.
    """
    if '://' in str(source) or str(source).startswith('pipe:'):
        raise ConfigError(
            f'The images {shown(source)} are not on this machine. Only files are read, each image at its place: mount '
            f'them (s3fs, gcsfuse, rclone mount, NFS) and give the path, or copy them to a disk.'
        )


def name_of(images: Path) -> str:
    """Name a set of images, for the folder of what is made of them.

    Args:
        images (Path): A folder, a tar file, or a pattern of tar files.

    Returns:
        str: A name without braces.

    Examples:
        >>> name_of(Path('/data/photos')), name_of(Path('/data/cc3m/train-{000000..000009}.tar'))
        ('photos', 'train')
        >>> name_of(Path('/data/cc3m/{000000..000009}.tar'))
        'cc3m'
    """
    images = images.resolve()
    if not are_shards(images) or images.is_dir():
        return images.name
    plain = re.sub(r'{.*}', '', images.name).split('.tar')[0].strip('-_.')
    return plain or re.sub(r'[{}]', '', images.parent.name)


def _expanded(pattern: str) -> list[str]:
    spans = math.prod(abs(int(last) - int(first)) + 1 for first, last in _RANGE.findall(pattern))
    try:
        found = [] if spans > _MOST else list(islice(braceexpand(pattern, escape=False), _MOST + 1))
    except UnbalancedBracesError as error:
        raise ConfigError(
            f'The braces in {shown(pattern)} are not balanced. Write them as in train-{{000000..000009}}.tar.'
        ) from error
    if spans > _MOST or len(found) > _MOST:
        raise ConfigError(f'{shown(pattern)} stands for more than {_MOST:,} shards. Check the numbers in its braces.')
    return found
