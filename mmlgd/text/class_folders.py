"""Which class folder belongs to which class name."""

import re
from collections.abc import Sequence
from typing import Optional

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
        have the names in their order; numbered ones, such as ``class2`` and ``class10``, in that of their numbers.

    Raises:
        ConfigError: Some folders are called like names at other places, and others like none.

    Examples:
        >>> classes_of(['cat', 'dog', 'tree'], ['tree|oak', 'Dog', 'cat'], 'val')
        [2, 1, 0]
        >>> classes_of(['n01', 'n02'], ['goldfish', 'bullfrog'], 'val')
        [0, 1]
    """
    found = _called_like(folders, names)
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
    ordered = in_order(folders)
    return [ordered.index(folder) for folder in folders]


def in_order(folders: Sequence[str]) -> list[str]:
    """Sort class folders: by their number, if nothing else differs.

    Args:
        folders (Sequence[str]): Folders.

    Returns:
        List[str]: The same, sorted.

    Examples:
        >>> in_order(['10', '9']), in_order(['n02', 'n01', 'm03'])
        (['9', '10'], ['m03', 'n01', 'n02'])
    """
    parts = [re.fullmatch('([^0-9]*)([0-9]{1,18})', folder) for folder in folders]
    if all(parts) and len({part[1] for part in parts}) == 1:
        return sorted(folders, key=lambda folder: int(re.search('[0-9]+$', folder)[0]))
    return sorted(folders)


def misplaced(classes: Sequence[str], names: Sequence[str]) -> Optional[int]:
    """Find out whether names are in another order than the classes of a data set, where label k has name k.

    Args:
        classes (Sequence[str]): The K class folders, or other names of the classes, in the order of their labels.
        names (Sequence[str]): The K names.

    Returns:
        int | None: The first label whose class is called like another name than its own. None if there is none; classes
        that are called otherwise tell nothing.

    Examples:
        >>> misplaced(['cat', 'dog', 'tree'], ['cat', 'tree', 'hound']), misplaced(['cat', 'dog'], ['cat', 'hound'])
        (2, None)
    """
    keys = [_key(one) for one in classes]  # a data set may have two classes of one name
    found = enumerate(_called_like(classes, names))
    return next((i for i, k in found if k is not None and keys[k] != keys[i]), None)


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


def _called_like(folders: Sequence[str], names: Sequence[str]) -> list[Optional[int]]:
    owners = {_key(phrasing): k for k, name in enumerate(names) for phrasing in phrasings(name)}
    return [owners.get(_key(folder)) for folder in folders]


def _key(name: str) -> str:
    return re.sub(r'[\s_-]+', ' ', look(name)).strip().casefold()
