"""Read and check ``store.json``: sizes that fit together, and the types of all entries."""

import json
import re
from numbers import Real
from pathlib import Path
from typing import Any, Callable

from mmlgd.errors import MMLGDError, brief, sentence
from mmlgd.utils.files import read_small

from .places import are_kept_places

# Few enough to keep all open; many enough to share the work among ranks, and to lose little work when writing stops.
MOST_SHARDS = 512
_LARGEST = 2**40  # rows: more than a disk can hold


class StoreError(MMLGDError, ValueError):
    """A teacher store that is missing, unfinished or damaged, or does not fit the run."""


def _whole(low: int, high: int = _LARGEST) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _numbers(count: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(x, Real) and not isinstance(x, bool) and abs(x) < 1e6 for x in value)
    )


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _is_probe(value: Any) -> bool:
    if not isinstance(value, dict) or not _whole(0)(value.get('row')):
        return False
    if 'pixels' in value:  # format 1
        return isinstance(value['pixels'], str)
    is_view = isinstance(value.get('view'), str) and re.fullmatch('([0-9a-f]{2})+', value['view'])
    return bool(is_view) and _whole(0)(value.get('file'))


def _are_probes(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_probe, value))


def _is_temperature(value: Any) -> bool:
    return value is None or _numbers(1)([value]) and value > 0


# Every store needs these entries to find rows in its shards.
_SIZES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'shard_rows': ('a whole number > 0', _whole(1)),
    'views': ('a whole number > 0', _whole(1)),
    'images.count': ('a whole number > 0', _whole(1)),
    'teacher.embed_dim': ('a whole number > 0', _whole(1, 2**20)),
    'places': ('null, or a grid of two whole numbers > 0 and a form, with its names', are_kept_places),
}
# Training from a store reads these entries as well.
_ORIGIN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'teacher.id': ('a string', _is(str)),
    'teacher.image_size': ('two numbers', _numbers(2)),
    'teacher.mean': ('three numbers', _numbers(3)),
    'teacher.std': ('three numbers', _numbers(3)),
    'teacher.config': ('a dict', _is(dict)),
    'augmentation': ('a dict or null', _is(dict, type(None))),
    'seed': ('a whole number', _whole(0)),
    'noise': ('a whole number', _whole(0)),
    'pipeline': ('a list', _is(list)),
    'probes': ('a list of rows with their views', _are_probes),
    'libraries': ('a dict', _is(dict)),
    'own_temperature': ('null or a number > 0', _is_temperature),  # earlier versions did not record it
}


def read_description(file: Path, formats: tuple[int, ...]) -> dict:
    """Read ``store.json``.

    Args:
        file (Path): The file.
        formats (Tuple[int]): The formats that can be read.

    Returns:
        dict: Its content, with sizes of the right types that fit together.

    Raises:
        StoreError: It is damaged, of another format, or contradicts itself.
    """
    try:
        description = json.loads(read_small(file))
        found = description.get('format')
    except OSError as error:  # its permissions, or a disk that fails
        raise StoreError(
            f'{file} cannot be read: {error.strerror or error}. Check who may read it, or copy the store again.'
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise StoreError(f'{file} is damaged: {sentence(error)} Write the store again into an empty folder.') from error
    if type(found) is not int or found not in formats:
        raise StoreError(
            f'The store in {str(file.parent)!r} has format {found!r}; this version of mmlgd reads '
            f'{" and ".join(map(str, formats))}. Write it again into an empty folder.'
        )
    if 'pictures' in description:  # the earlier name
        description.setdefault('images', description.pop('pictures'))
    _check(description, _SIZES, file)
    shards = -(-description['views'] * description['images']['count'] // description['shard_rows'])
    if shards > MOST_SHARDS:
        raise StoreError(f'{file} is damaged: it lists {shards} shards, but a store has {MOST_SHARDS} at most.')
    return description


def check_origin(description: dict, file: Path) -> None:
    """Refuse a description that does not say how the rows were made.

    Args:
        description (dict): Of :func:`read_description`.
        file (Path): Where it comes from, for the error.

    Raises:
        StoreError: An entry is missing or of another type; the message names it.
    """
    _check(description, _ORIGIN, file)


def _check(description: dict, wanted: dict[str, tuple[str, Callable[[Any], bool]]], file: Path) -> None:
    for path, (kind, is_right) in wanted.items():
        value: Any = description
        for key in path.split('.'):
            value = value.get(key) if isinstance(value, dict) else None
        if not is_right(value):
            raise StoreError(
                f'{file} is damaged: {path} is {brief(value)!r}, expected {kind}. Write the store again into an '
                f'empty folder.'
            )
