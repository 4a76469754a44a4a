"""Vocabularies: the class names that guide the distillation, cleaned and in label order."""

import re
from pathlib import Path
from typing import Union

from mmengine.logging import print_log

from mmlgd.errors import MissingFileError, MMLGDError, brief, shown
from mmlgd.utils.files import UnreadableError, read_small

from .characters import as_word, look, unreadable
from .class_folders import in_order
from .phrasings import SEPARATOR, joined, phrasing_fault, phrasings
from .sets import list_vocabularies, names_of


class VocabularyError(MMLGDError, ValueError):
    """A vocabulary that cannot be used: empty, or with duplicate, empty or non-string names."""


def load_vocabulary(vocabulary: Union[str, Path, list, tuple, dict]) -> list[str]:
    """Read class names; name k belongs to row k of the bank and to label k of an evaluation.

    Args:
        vocabulary (str | Path | list | dict): One of

            - the name of a data set (:func:`list_vocabularies`), read from open_clip, mmdet or mmseg where these
              are installed and from mmlgd otherwise;
            - the path of a UTF-8 text file, one name a line; a line ``key<TAB>name`` counts as its name, as in the
              ``wnid<TAB>name`` files of ImageNet-like sets;
            - a text with names and commas between them, ``'sky|clouds,road'``;
            - a list of names, which may have one name alone; a name may have several phrasings, ``'sky|clouds'``: see
              :func:`~mmlgd.text.phrasings`;
            - a mapping of names to their other phrasings, ``{'road': ['street', 'asphalt'], 'sky': 'clouds', 'car':
              []}``;
            - ``dict(union=[...])`` of any of these: a class that occurs in several counts once, at its first place and
              with all its phrasings. If it shares phrasings with two classes, it joins the one that has its first, and
              the other keeps its own.

    Returns:
        List[str]: Unique names without surrounding blanks; phrasings as in ``'sky|clouds'``.

    Raises:
        VocabularyError: No names, or a duplicate, empty or non-string one, or one with control or invisible
            characters; the message names it. Names that look the same are duplicates, however they are encoded. So is a
            phrasing of two classes. Also a list with a known set or a text file in it: these are joined by
            ``dict(union=[...])``.
        UnreadableError: The text file has more than 64 MiB, or may not be read.
        MissingFileError: A string that is neither a known data set nor a file, and has no comma. It is a
            ``FileNotFoundError``.

    Examples:
        >>> load_vocabulary('coco')[:3]
        ['person', 'bicycle', 'car']
        >>> load_vocabulary(dict(road=['street', 'asphalt'], sky='clouds', car=[]))
        ['road|street|asphalt', 'sky|clouds', 'car']
        >>> len(load_vocabulary(dict(union=['coco', 'cityscapes', ['unicorn']])))
        92
    """
    if isinstance(vocabulary, (str, Path)):
        return _from_string(str(vocabulary))
    if isinstance(vocabulary, dict):
        return _union(vocabulary['union']) if set(vocabulary) == {'union'} else _mapping(vocabulary)
    if isinstance(vocabulary, (list, tuple)):
        if sources := [one for one in vocabulary if _is_source(one)]:
            raise VocabularyError(
                f'A list holds the names themselves, but {brief(sources)} are known sets or files. Give one of them '
                f"without the list, or join several, and names of your own: dict(union=['coco', ['unicorn']]). A class "
                f"that is called so needs another word, as in 'coco|coconut'."
            )
        return _checked(vocabulary, 'the list of names')
    raise VocabularyError(
        f'A vocabulary is a data set name, a text file, a list of names, a mapping of names to phrasings or '
        f'dict(union=[...]), got {type(vocabulary).__name__}.'
    )


def listed(text: str) -> list[str]:
    """Split names that stand in one text, with commas between them.

    Args:
        text (str): What a user gave as names, if no file has this name.

    Returns:
        List[str]: The names; empty if there is no comma, or the text looks like a path.

    Examples:
        >>> listed('sky|clouds, road'), listed('coco'), listed('my,names.txt')
        (['sky|clouds', 'road'], [], [])
    """
    is_path = text.endswith('.txt') or '/' in text or '\\' in text
    return [] if is_path or ',' not in text else [name.strip() for name in text.split(',')]


def _union(members: Union[list, tuple]) -> list[str]:
    """Join vocabularies; a class that shares phrasings with earlier ones joins the one that has its first."""
    if not isinstance(members, (list, tuple)):
        raise VocabularyError(
            f'A union of vocabularies is dict(union=[...]) with a list, got a {type(members).__name__}.'
        )
    classes: list[list[str]] = []
    owner: dict[str, int] = {}  # the class of a phrasing
    for name in (name for member in members for name in load_vocabulary(member)):
        words = phrasings(name)
        known = [owner[as_word(word)] for word in words if as_word(word) in owner]
        place = known[0] if known else len(classes)
        if not known:
            classes.append([])
        new = [word for word in words if as_word(word) not in owner]
        classes[place] += new
        owner.update((as_word(word), place) for word in new)
    return _checked(map(joined, classes), 'the union')


def _mapping(vocabulary: dict) -> list[str]:
    """Read names and their other phrasings; a list may repeat the name."""
    names = []
    for name, others in vocabulary.items():
        others = [others] if isinstance(others, str) else others
        if not isinstance(others, (list, tuple)) or not all(isinstance(one, str) for one in (name, *others)):
            raise VocabularyError(
                f'A vocabulary given as a dict is dict(union=[...]), or maps each name to a list of its other '
                f"phrasings, as in {{'road': ['street', 'asphalt'], 'car': []}}; got {brief({name: others})}."
            )
        names.append(joined([name, *(one for one in others if as_word(one) != as_word(name))]))
    return _checked(names, 'the mapping')


def _is_source(one: object) -> bool:
    return isinstance(one, Path) or isinstance(one, str) and (one in list_vocabularies() or one.endswith('.txt'))


def _from_string(vocabulary: str) -> list[str]:
    if vocabulary in list_vocabularies():
        return _checked(names_of(vocabulary), vocabulary)
    try:
        path = Path(vocabulary).expanduser()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or in the home of an unknown user
        is_file = False
    if not is_file and (names := listed(vocabulary)):
        return load_vocabulary(names)
    if not is_file:
        raise MissingFileError(
            f'The vocabulary {vocabulary[:200]!r} is neither a file nor one of {list_vocabularies()}. Give one of '
            f'these sets, the path of a text file with one class name a line, or the names themselves, two or more: '
            f'`--names ball "red box"` or `--names "ball,red box"` on the command line, a list in a config or in '
            f'Python. A single word is never a class name there: its score would be 1 for any image.'
        )
    try:
        lines = re.split('\r\n|\r|\n', read_small(path).decode('utf-8-sig'))
    except UnicodeDecodeError as error:
        raise VocabularyError(f'{shown(path)} is not UTF-8 text ({error}); save it as UTF-8.') from error
    except OSError as error:  # its permissions, or a disk that fails
        raise UnreadableError.of(path, error.strerror or str(error)) from error
    while lines and not lines[-1].strip():
        lines.pop()
    _refuse_other_formats(lines, shown(path))
    _warn_of_order([line.partition('\t')[0].strip() for line in lines if '\t' in line], shown(path))
    return _checked((line.split('\t')[-1] for line in lines), shown(path), unit='line')


# What a line is, if it is not a name.
_OTHER_LINES = {
    'JSON or the like': re.compile(r'[\[{]|item \{'),
    'a comment': re.compile(r'#(?!\d)|//'),  # '#1 pencil' is a name
    'a name with a comment': re.compile(r'.*\s(?:#|//)(?:\s|$)'),
    'a heading, as in YAML': re.compile(r'\w+:$'),
    'an item of a list': re.compile(r'[-*] '),
    'quoted': re.compile(r'(["\']).*\1,?$'),
    'followed by a separator': re.compile(r'.*[,;]$'),
    'a name with a tab between its phrasings': re.compile(r'[^\t]*\|.*\t'),  # what is before it would be lost
}
_BEGINS = re.compile(r'(?:n\d{8}|\d{1,9})[.):,; ]+(\S[^\t]*)')  # a number or a WordNet id, and a name
_ENDS = re.compile(r'(.*\S)(?:[,;\t] *\d{1,9}|(?: \d{1,3}){3})')  # a name, and a number or a colour


def _refuse_other_formats(lines: list[str], source: str) -> None:
    """Refuse a file whose lines are not names: each of them would become a class without an error."""
    advice = 'A file of class names has one name a line, as in `cat` and below it `dog`. Write the names so.'
    lines = [line.strip() for line in lines]
    if lines and re.match(r'\w+: ', lines[0]):
        raise VocabularyError(f'{source} begins with {lines[0][:80]!r}, as YAML does. {advice}')
    for number, line in enumerate(lines, start=1):
        for what, pattern in _OTHER_LINES.items():
            if pattern.match(line):
                raise VocabularyError(f'Line {number} of {source}, {line[:80]!r}, is {what}. {advice}')
    if len(lines) == 1 and re.search('[,;]', lines[0]):
        raise VocabularyError(f'{source} has a single line with several names, {lines[0][:80]!r}. {advice}')
    for rows in (lines, lines[1:]):  # a table may have a head
        for pattern in (_BEGINS, _ENDS):
            found = [pattern.fullmatch(row) for row in rows]
            # '1 euro' and '2 euro' are names.
            if len(rows) > 1 and all(found) and len({one[1] for one in found}) == len(rows):
                raise VocabularyError(
                    f'{source} is a table: beside each name stands a number, as in {rows[0][:80]!r}. {advice} If these '
                    f'are the names, give them by `--names "..." "..."`, or as a list in Python or in a config.'
                )


def _warn_of_order(keys: list[str], source: str) -> None:
    """Say that names beside keys, such as WordNet ids, are not in the order of class folders with these keys."""
    if moved := next((pair for pair in zip(keys, in_order(keys)) if pair[0] != pair[1]), None):
        print_log(
            f'The lines of {source} are not in the order of their keys: {shown(moved[0])!r} stands where '
            f'{shown(moved[1])!r} belongs. Class folders that are called like the keys have the names in sorted order: '
            f'sort the lines for an evaluation on such folders, or call the folders like the names.',
            'current',
            30,
        )


def _checked(names, source: str, unit: str = 'name') -> list[str]:
    first_seen: dict[str, int] = {}
    checked = []
    for position, name in enumerate(names, start=1):
        if not isinstance(name, str):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source} is {name!r}, a {type(name).__name__}; a class name '
                f'is a string. Quote it.'
            )
        stripped = joined(phrasings(name))
        if fault := unreadable(stripped):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source} {fault}: is this a list of class names? Take it out, or '
                f'give a UTF-8 text file with one name a line.'
            )
        if not look(stripped):
            raise VocabularyError(f'{unit.capitalize()} {position} of {source} is empty. Remove it or name the class.')
        if SEPARATOR in stripped and (fault := phrasing_fault(stripped)):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source}, {stripped!r}, {fault}. Write the phrasings of a class as '
                f"'sky{SEPARATOR}clouds', each of them once."
            )
        for phrasing in phrasings(stripped):
            earlier = first_seen.setdefault(as_word(phrasing), position)
            if earlier != position:
                raise VocabularyError(
                    _repeated(phrasing, stripped, checked[earlier - 1], source, unit, earlier, position)
                )
        checked.append(stripped)
    if not checked:
        raise VocabularyError(f'{source} holds no names. Give at least one class name.')
    return checked


def _repeated(phrasing: str, name: str, other: str, source: str, unit: str, earlier: int, position: int) -> str:
    if as_word(name) != as_word(other):
        return (
            f'{source} has the phrasing {phrasing!r} in two classes: {unit} {earlier} is {other!r}, {unit} {position} '
            f'is {name!r}. It would pull their rows together: take it out of one of them.'
        )
    different = '' if name == other else ' (they look the same, but their characters differ)'
    if look(name) != look(other):
        different = f' (as {other!r}; text towers read lower case)'
    return (
        f'{source} holds {name!r} twice, as {unit}s {earlier} and {position}{different}. Each class needs a different '
        f'name: remove or rename one.'
    )


def counted(names: list[str], most: int = 5) -> str:
    """Say what a vocabulary holds, for the first lines of a run.

    Args:
        names (List[str]): Class names.
        most (int): How many to name. Defaults to 5.

    Returns:
        str: Their number and the first of them.

    Examples:
        >>> counted(['dress', 'hat', 'shoe'], most=2)
        '3: dress, hat, ...'
    """
    first = ', '.join(shown(name) for name in names[:most])
    return f'{len(names):,}: {first}{", ..." if len(names) > most else ""}'
