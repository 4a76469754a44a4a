"""Which class folder belongs to which class name."""

import re
from collections.abc import Sequence

from mmlgd.errors import ConfigError, shown

from .characters import look
from .phrasings import phrasings


def classes_of(folders: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """Find the class of each class folder: by its name, or by its place where folders are called otherwise.

    A folder is called like a class if it is one of its phrasings, whatever the capitals, blanks, hyphens and
    underscores: ``Black_Stork`` is ``black stork``.

    Args:
        folders (Sequence[str]): The K folders, sorted.
        names (Sequence[str]): The K names, in any order.
        where (str): The folder around them, for the error.

    Returns:
        List[int]: For each folder the index of its name. Folders that are called otherwise, by WordNet ids for example,
        have the names in their order.

    Raises:
        ConfigError: Some folders are called like names at other places, and others like none.

    Examples:
        >>> classes_of(['cat', 'dog', 'tree'], ['tree|oak', 'Dog', 'cat'], 'val')
        [2, 1, 0]
        >>> classes_of(['n01', 'n02'], ['goldfish', 'bullfrog'], 'val')
        [0, 1]
    """
    owners = {_key(phrasing): k for k, name in enumerate(names) for phrasing in phrasings(name)}
    found = [owners.get(_key(folder)) for folder in folders]
    if sorted(k for k in found if k is not None) == [*range(len(names))]:
        return found
    moved = next((i for i, k in enumerate(found) if k not in (None, i)), None)
    if moved is not None:
        others = ', '.join(shown(folder) for folder, k in zip(folders, found) if k is None) or 'two of one class'
        raise ConfigError(
            f'Some class folders of {where} are called like class names, such as {shown(folders[moved])!r}, which is '
            f'name {found[moved] + 1}, and others are not: {others}. So the class of these folders is not known. Call '
            f'all folders like the names, or the names like the folders.'
        )
    return [*range(len(folders))]


def folders_in_order(folders: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    """Put class folders into the order of the class names, see :func:`classes_of`.

    Args:
        folders (Sequence[str]): The K folders, sorted.
        names (Sequence[str]): The K names, in any order.
        where (str): The folder around them, for the error.

    Returns:
        List[str]: For each name its folder.

    Raises:
        ConfigError: As there.

    Examples:
        >>> folders_in_order(['cat', 'dog', 'tree'], ['tree|oak', 'Dog', 'cat'], 'val')
        ['tree', 'dog', 'cat']
    """
    return [folder for _, folder in sorted(zip(classes_of(folders, names, where), folders))]


def _key(name: str) -> str:
    return re.sub(r'[\s_-]+', ' ', look(name)).strip().casefold()
