"""Checks the options of an evaluation before any work."""

import re
from pathlib import Path
from typing import Union

from mmlgd.datasets.sizes import LARGEST
from mmlgd.errors import ConfigError, brief
from mmlgd.student import Student
from mmlgd.utils.validation import listed, require, whole

RANGES = dict(
    size=whole('size in pixels', 8, LARGEST),
    k=whole('k', 1, 10**6),
    batch_size=whole('batch size', 1, 10**5),
    workers=whole('workers', 0, 512),
)


def students_of(
    checkpoint: Union[str, Path, Student, None], students: Union[list[str], dict, None], with_teacher: bool = False
) -> dict[str, Union[str, Path, Student]]:
    """Collect the students of a call by name.

    Args:
        checkpoint (str | Path | Student, optional): The source that gets the name ``'student'``.
        students (List[str] | dict, optional): NAME=SOURCE, or sources by name.
        with_teacher (bool): Whether a ``'teacher'`` is added, which reserves this name. Defaults to False.

    Returns:
        Dict[str, str | Path | Student]: Sources by name.

    Raises:
        ConfigError: There are no students, or a name is invalid or duplicate.

    Examples:
        >>> students_of('a.pth', ['random=none'])
        {'student': 'a.pth', 'random': 'none'}
    """
    pairs = list(students.items()) if isinstance(students, dict) else []
    for one in [] if students is None or pairs else listed(students):
        require(
            isinstance(one, str) and re.fullmatch(r'[^=]+=.+', one) is not None,
            f'--students takes NAME=SOURCE, got {brief(one)!r}; for example random=none.',
        )
        pairs.append(tuple(one.split('=', 1)))
    if checkpoint is not None:
        pairs.insert(0, ('student', checkpoint))
    require(
        bool(pairs),
        'There is nothing to evaluate: give a checkpoint before the options (those that take several values would take '
        'it, too), or --students NAME=SOURCE.',
    )
    names = [name for name, _ in pairs]
    if bad := [name for name in names if not isinstance(name, str) or not re.fullmatch(r'[^=|\x00-\x1f]+', name)]:
        raise ConfigError(f'--students takes NAME=SOURCE, and {brief(bad[0])!r} is no name; for example random=none.')
    require_once(students=names + ['teacher'] * with_teacher)
    return dict(pairs)


def require_once(**options: list) -> None:
    """Refuse an option without a value, and one with a duplicate."""
    for option, values in options.items():
        require(bool(values), f'--{option} is empty. Give at least one value, or leave it out.')
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ConfigError(f'--{option} has {twice[0]!r} twice: the table would show one of them.')


def share(text: str) -> str:
    """Check one value of labels: a share of the training images such as 10%, or a number per class such as 5."""
    text = str(text)
    is_share = re.fullmatch(r'[0-9]{1,3}(\.[0-9]+)?%', text) and 0 < float(text[:-1]) <= 100
    require(
        bool(is_share or re.fullmatch(r'[1-9][0-9]{0,8}', text)),
        f'--labels takes a share such as 10%, up to 100%, or a number of images such as 5, got {text[:50]!r}.',
    )
    return text
