"""Folders and repositories of others: their settings are looked through before any library reads them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .base import TeacherError

# With these, transformers would import a file of the folder, or of a repository that it names.
_CODE = {'auto_map', 'trust_remote_code', 'custom_pipelines', 'code_revision'}


def read_settings(file: Path) -> Any:
    """Read a JSON file of somebody else's.

    Args:
        file (Path): The file.

    Returns:
        Any: What it holds.

    Raises:
        TeacherError: It is damaged.
    """
    try:
        return json.loads(file.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise TeacherError(f'{file} is damaged: {error!r}. Copy the teacher again.') from error


def refuse_code(folder: Path) -> None:
    """Refuse a folder whose settings for transformers ask for code of its own.

    Args:
        folder (Path): With ``config.json``, ``tokenizer_config.json`` and their like, or without.

    Raises:
        TeacherError: One of them does, or is damaged; the message names the setting.
    """
    for file in sorted(folder.glob('*config*.json')):
        if file.name == 'adapter_config.json':
            raise foreign_code(folder, file.name, 'an adapter, which names another model and the library to import')
        for key, value in _items(read_settings(file)):
            if key in _CODE and value:
                raise foreign_code(folder, f'{key}={value!r} in {file.name}')


def foreign_code(folder: Path, what: str, why: str = 'which is not executed') -> TeacherError:
    """Make the error for a part that is not one of the libraries' own.

    Args:
        folder (Path): Where it is.
        what (str): The part or setting.
        why (str): Why it is refused. Defaults to ``'which is not executed'``.

    Returns:
        TeacherError: To be raised.
    """
    return TeacherError(
        f'The teacher in {folder} brings code of its own ({what[:200]}), {why}. Give one that is made of the parts of '
        f'the libraries alone.'
    )


def _items(settings: Any) -> Iterator[tuple[Any, Any]]:
    pairs = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in pairs:
        yield key, value
        if isinstance(value, (dict, list)):
            yield from _items(value)
