"""Vocabularies: the class names that guide the distillation, cleaned and in label order."""

import re
from importlib import import_module, resources
from pathlib import Path
from typing import Union

from mmlgd.errors import MissingFileError, MMLGDError, brief, shown
from mmlgd.utils.files import read_small

from .characters import look, unreadable
from .phrasings import SEPARATOR, phrasing_fault, phrasings

# Name -> (module, class) whose METAINFO has the class names in label order.
_METAINFO: dict[str, tuple[str, str]] = {
    'coco': ('mmdet.datasets', 'CocoDataset'),
    'lvis-v1': ('mmdet.datasets', 'LVISV1Dataset'),
    'ade20k': ('mmseg.datasets', 'ADE20KDataset'),
    'cityscapes': ('mmseg.datasets', 'CityscapesDataset'),
}
# open_clip's ImageNet names say 'missile' and 'sunglasses' twice; the second of each pair here gets its WordNet name.
_IN1K_RENAMED = {744: 'projectile', 836: 'sunglass'}


class VocabularyError(MMLGDError, ValueError):
    """A vocabulary that cannot be used: empty, or with duplicate, empty or non-string names."""


def list_vocabularies() -> list[str]:
    """Names of the data sets whose class names mmlgd knows.

    Returns:
        List[str]: Sorted names, each of which :func:`load_vocabulary` takes.

    Examples:
        >>> list_vocabularies()
        ['ade20k', 'caltech256', 'cityscapes', 'coco', 'in1k', 'lvis-v1']
    """
    return sorted([*_METAINFO, 'caltech256', 'in1k'])


def load_vocabulary(vocabulary: Union[str, Path, list, tuple, dict]) -> list[str]:
    """Read class names; name k belongs to row k of the bank and to label k of an evaluation.

    Args:
        vocabulary (str | Path | list | dict): One of

            - the name of a data set (:func:`list_vocabularies`), read from open_clip, mmdet or mmseg where these
              are installed and from mmlgd otherwise;
            - the path of a UTF-8 text file, one name a line; a line ``key<TAB>name`` counts as its name, as in the
              ``wnid<TAB>name`` files of ImageNet-like sets;
            - a list of names, which may have one name alone; a name may have several phrasings, ``'sky|clouds'``: see
              :func:`~mmlgd.text.phrasings`;
            - ``dict(union=[...])`` of any of these: a name that occurs in several counts once, at its first place.

    Returns:
        List[str]: Unique names without surrounding blanks.

    Raises:
        VocabularyError: No names, or a duplicate, empty or non-string one, or one with control or invisible
            characters; the message names it. Names that look the same are duplicates, however they are encoded. Also a
            list that has only known sets and text files: these are joined by ``dict(union=[...])``.
        UnreadableError: The text file has more than 64 MiB.
        MissingFileError: A string that is neither a known data set nor a file. It is a ``FileNotFoundError``.

    Examples:
        >>> load_vocabulary('coco')[:3]
        ['person', 'bicycle', 'car']
        >>> len(load_vocabulary(dict(union=['coco', 'cityscapes', ['unicorn']])))
        92
    """
    if isinstance(vocabulary, (str, Path)):
        return _from_string(str(vocabulary))
    if isinstance(vocabulary, dict):
        if set(vocabulary) != {'union'} or not isinstance(vocabulary['union'], (list, tuple)):
            raise VocabularyError(
                f'A vocabulary given as a dict is dict(union=[...]), got keys {sorted(map(str, vocabulary))}.'
            )
        members = [load_vocabulary(member) for member in vocabulary['union']]
        first: dict[str, str] = {}
        for name in (name for names in members for name in names):
            first.setdefault(look(name), name)
        return _checked(first.values(), 'the union')
    if isinstance(vocabulary, (list, tuple)):
        if vocabulary and all(map(_is_source, vocabulary)):
            raise VocabularyError(
                f'A list holds the names themselves, but {brief(list(vocabulary))} are known sets or files. Give one '
                f'of them without the list, or join several: dict(union=[...]).'
            )
        return _checked(vocabulary, 'the list of names')
    raise VocabularyError(
        f'A vocabulary is a data set name, a text file, a list of names or dict(union=[...]), got '
        f'{type(vocabulary).__name__}.'
    )


def _is_source(one: object) -> bool:
    return isinstance(one, Path) or isinstance(one, str) and (one in list_vocabularies() or one.endswith('.txt'))


def _from_string(vocabulary: str) -> list[str]:
    if vocabulary == 'in1k':
        from open_clip import IMAGENET_CLASSNAMES

        return _checked((_IN1K_RENAMED.get(k, name) for k, name in enumerate(IMAGENET_CLASSNAMES)), 'in1k')
    if vocabulary in _METAINFO:
        return _checked(map(_clean, _dataset_names(vocabulary)), vocabulary)
    if vocabulary in list_vocabularies():
        return _checked(_packaged_names(vocabulary), vocabulary)
    try:
        path = Path(vocabulary).expanduser()
        is_file = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or in the home of an unknown user
        is_file = False
    if not is_file:
        raise MissingFileError(
            f'The vocabulary {vocabulary[:200]!r} is neither a file nor one of {list_vocabularies()}. Give one of '
            f'these sets, the path of a text file with one class name a line, or the names themselves, two or more: '
            f'`--names ball "red box"` on the command line, a list in a config or in Python. A single word is never a '
            f'class name there: its score would be 1 for any image.'
        )
    try:
        lines = re.split('\r\n|\r|\n', read_small(path).decode('utf-8-sig'))
    except UnicodeDecodeError as error:
        raise VocabularyError(f'{shown(path)} is not UTF-8 text ({error}); save it as UTF-8.') from error
    while lines and not lines[-1].strip():
        lines.pop()
    return _checked((line.split('\t')[-1] for line in lines), shown(path), unit='line')


def _dataset_names(vocabulary: str) -> list[str]:
    module, dataset = _METAINFO[vocabulary]
    try:
        return list(getattr(import_module(module), dataset).METAINFO['classes'])
    except (ImportError, AssertionError):  # not installed, or incompatible with the installed mmcv
        return _packaged_names(vocabulary)  # the same names: a test compares the two


def _packaged_names(vocabulary: str) -> list[str]:
    text = resources.files('mmlgd.text').joinpath('names', f'{vocabulary}.txt').read_text(encoding='utf-8')
    return text.rstrip('\n').split('\n')


def _clean(name: str) -> str:
    """Turn LVIS' 'bow_(weapon)' into 'bow weapon': without the qualifiers, names would repeat."""
    return ' '.join(re.sub(r'[_()]+', ' ', name).split())


def _checked(names, source: str, unit: str = 'name') -> list[str]:
    first_seen: dict[str, int] = {}
    checked = []
    for position, name in enumerate(names, start=1):
        if not isinstance(name, str):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source} is {name!r}, a {type(name).__name__}; a class name '
                f'is a string. Quote it.'
            )
        stripped = SEPARATOR.join(phrasings(name))
        if fault := unreadable(stripped):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source} {fault}: is this a list of class names? Take it out, or '
                f'give a UTF-8 text file with one name a line.'
            )
        seen = look(stripped)
        if not seen:
            raise VocabularyError(f'{unit.capitalize()} {position} of {source} is empty. Remove it or name the class.')
        if SEPARATOR in stripped and (fault := phrasing_fault(stripped)):
            raise VocabularyError(
                f'{unit.capitalize()} {position} of {source}, {stripped!r}, {fault}. Write the phrasings of a class as '
                f"'sky{SEPARATOR}clouds', each of them once."
            )
        earlier = first_seen.setdefault(seen, position)
        if earlier != position:
            different = '' if checked[earlier - 1] == stripped else ' (they look the same, but their characters differ)'
            raise VocabularyError(
                f'{source} holds {stripped!r} twice, as {unit} {earlier} and {position}{different}. Each class needs a '
                f'different name: remove or rename one.'
            )
        checked.append(stripped)
    if not checked:
        raise VocabularyError(f'{source} holds no names. Give at least one class name.')
    return checked
