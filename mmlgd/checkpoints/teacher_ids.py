"""Which teachers are the same, and which teacher an untrusted checkpoint or store may have built."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional, Union

from mmlgd.errors import brief
from mmlgd.utils.validation import require

from .files import CheckpointError

# open_clip, tips or radio/LABEL/SETTINGS/FINGERPRINT, and conse or looks/LABEL/CHOICES/SETTINGS/FINGERPRINT. Earlier
# versions wrote no SETTINGS. The label is for people: it says where the weights came from. Equal weights may come from
# different places.
_IDENTITY = re.compile(
    r'(?P<kind>open_clip|conse|looks|tips|radio)/(?P<label>.*?)'
    r'(?P<choices>/top\d+/(visual[\d.e-]+/)?classes-[0-9a-f]{8}|/dim\d+/stats-[0-9a-f]{8})?'
    r'(/settings-(?P<settings>[0-9a-f]{8}))?/(?P<weights>[0-9a-f]{16})'
)
_PAIR = re.compile(r'(?P<share>pair[\d.e-]+)/(?P<words>.+/[0-9a-f]{16})/(?P<looks>looks/.+?(?P<dim>/dim\d+)/stats-.+)')
# Settings whose texts are sentences or numbers.
_WORDS = ('template', 'templates', 'statistics')
_FOLDERS = ('text_encoder', 'weights')  # settings that may name a folder
_HALVES = ('words', 'looks')  # of a pair, with settings of their own
_SCHEMES = re.compile(r'local-dir:|hf[-_]hub:')


def same_teacher(one: str, other: str) -> bool:
    """Compare two identities by weights and by other settings that change an embedding, not by names or places.

    Args:
        one (str): As :attr:`~mmlgd.models.BaseTeacher.identity`, of any version of mmlgd.
        other (str): Likewise. If one of the two has no settings, the weights (and ConSE's choices) decide.

    Returns:
        bool: Whether the embeddings of both can be compared.

    Examples:
        >>> from mmlgd.checkpoints.teacher_ids import same_teacher
        >>> old = 'open_clip/local-dir:/home/me/clip/openai/862b8088f3200a8b'
        >>> same_teacher(old, 'open_clip/local-dir:clip/settings-0123abcd/862b8088f3200a8b')
        True
        >>> same_teacher(old, 'open_clip/local-dir:clip/settings-0123abcd/0000000000000000')
        False
    """
    a, b = _PAIR.fullmatch(one), _PAIR.fullmatch(other)
    if a and b:
        return a['share'] == b['share'] and all(same_teacher(a[half], b[half]) for half in _HALVES)
    a, b = _IDENTITY.fullmatch(one), _IDENTITY.fullmatch(other)
    if not a or not b:
        return one == other
    settings = {found['settings'] for found in (a, b)}
    return _compared(a) == _compared(b) and (len(settings) == 1 or None in settings)


def teacher_key(identity: str) -> str:
    """Return the part of an identity that keys a cache: equal for equal teachers.

    Args:
        identity (str): Of a teacher.

    Returns:
        str: The identity without the label. One of an earlier version is unchanged, so that its cached files are found.
        Of a pair, that of its words and the dimensions of its looks: class names have no looks.
    """
    if found := _PAIR.fullmatch(identity):
        return f'{teacher_key(found["words"])}{found["dim"]}'
    found = _IDENTITY.fullmatch(identity)
    return '/'.join([*_compared(found), found['settings']]) if found and found['settings'] else identity


def _compared(found: re.Match) -> tuple[str, str, str]:
    return found['kind'], found['choices'] or '', found['weights']


def teacher_to_build(
    told: Optional[dict],
    named: Optional[dict] = None,
    source: Union[str, Path] = 'The checkpoint',
    half: str = '',
    only_read: bool = False,
) -> dict:
    """Decide which teacher to build for a checkpoint or store, whose author chose the settings in ``told``.

    Names that the libraries know are accepted. A place (a file, a folder or a repository) is refused unless the caller
    names it.

    Args:
        told (dict, optional): Settings of the teacher, from the checkpoint or store.
        named (dict, optional): The caller's settings. With a ``type`` they are the whole teacher. Without one they
            change the settings in ``told``; if that is a teacher behind a store, the teacher's. Those of a pair's
            halves are in a dict, or have a dot in their name, ``words.model``. Defaults to None.
        source (str | Path): Where ``told`` comes from, for the error.
        half (str): ``'words.'`` or ``'looks.'`` for a half of a pair, ``'words.words.'`` for the text tower of C-RADIO
            in one, for the error. Defaults to ``''``.
        only_read (bool): Accept every place, since no teacher is built from the result. Defaults to False.

    Returns:
        dict: Settings of the teacher.

    Raises:
        CheckpointError: A setting names a place, and the caller does not name that setting.

    Examples:
        >>> from mmlgd.checkpoints.teacher_ids import teacher_to_build
        >>> teacher_to_build(dict(type='mmlgd.OpenCLIPTeacher', model='local-dir:/x'), dict(model='local-dir:/mine'))
        {'type': 'mmlgd.OpenCLIPTeacher', 'model': 'local-dir:/mine'}
    """
    require(
        named is None or isinstance(named, Mapping),
        f'Expected the settings of a teacher as a dict, such as dict(pretrained=FILE), got {brief(named)}.',
    )
    named = _nested(named or {})
    if 'type' in named:
        return named
    told = dict(told or {})
    if 'store' in told:
        # A store is read as data. If its teacher is needed, this function decides again, by the settings of the store
        # and of the caller; the settings in this file are not used.
        named = dict(store=named.pop('store', told['store']), teacher=named)
    for name in _HALVES:
        if isinstance(told.get(name), Mapping) and isinstance(named.get(name, {}), Mapping):
            named[name] = teacher_to_build(told[name], named.get(name), source, f'{half}{name}.', only_read)
    for key, value in told.items():
        if only_read or key in (*named, *_WORDS) or not any(_is_place(text, key) for text in _texts(value)):
            continue
        in_python = f'dict({key}=...)'
        for name in reversed(half.split('.')[:-1]):
            in_python = f'dict({name}={in_python})'
        raise CheckpointError(
            f'{source} has a teacher with {half}{key}={brief(value, 200)!r}. Its author chose this place, and mmlgd '
            f'opens it only if you name it. If you trust it: teacher={in_python} in Python, or --teacher-options '
            f'{half}{key}=... on the command line.'
        )
    return {**told, **named}


def _nested(named: Mapping) -> dict:
    nested: dict[str, Any] = {}
    for key, value in named.items():
        half, dot, rest = str(key).partition('.')
        if dot and half in _HALVES:
            nested[half] = {**nested.get(half, {}), rest: value}
        else:
            nested[key] = value
    return nested


def _texts(value: Any) -> Iterator[str]:
    """Find the strings that could be places; a list at the top level holds class names or prompts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            for one in part if isinstance(part, (list, tuple)) else [part]:
                yield from _texts(one)


def _is_place(text: str, key: str) -> bool:
    """Tell a place from a name as the libraries do: an existing file is a place, for some settings a folder as well."""
    if _SCHEMES.search(text) or '/' in text or '\\' in text or text.startswith('~'):
        return True
    parts = text, text.rpartition(':')[2]  # of os.path, for which a text that can be no path is none
    return any(os.path.isfile(part) or (key in _FOLDERS and os.path.isdir(part)) for part in parts)
