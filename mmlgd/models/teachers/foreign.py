"""Untrusted folders and repositories: their settings are checked before any library reads them."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

from mmlgd.checkpoints.archives import archive_fault
from mmlgd.checkpoints.files import read_checkpoint
from mmlgd.errors import brief
from mmlgd.utils.files import UnreadableError, read_small, require_file

from .base import TeacherError

# With these keys, transformers would import a file of the folder or of a repository; the last one says where it takes
# weights from.
_CODE = {'auto_map', 'trust_remote_code', 'custom_pipelines', 'code_revision', 'transformers_weights'}
_KERNELS = '_implementation'  # of attention: a keyword of transformers, or ORG/NAME, whose code it would fetch and run
_SETTINGS = 2**24  # bytes
_TEXTS, _TEXT = (
    ('.json', '.txt', '.md', '.model', '.jinja'),
    2**28,
)  # files that libraries read whole, and their limit in bytes
_HEADER = 2**24  # bytes, of safetensors; a model with 10,000 tensors needs 1.2 million


def read_settings(file: Path) -> Union[dict, list]:
    """Read an untrusted JSON file.

    Args:
        file (Path): The file.

    Returns:
        dict | list: Its content.

    Raises:
        TeacherError: It is damaged.
        UnreadableError: It is missing, not a regular file, or too large for settings.
    """
    with _readable(file):
        content = read_small(file, _SETTINGS)
    try:
        settings = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TeacherError(f'{file} is damaged: {error!r}. Copy the teacher again.') from error
    if not isinstance(settings, (dict, list)):
        raise TeacherError(f'{file} is damaged: it is a {type(settings).__name__}. Copy the teacher again.')
    return settings


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Report broken links and impossible file names like other bad files."""
    try:
        yield
    except OSError as error:
        raise UnreadableError.of(brief(str(file), 500), error.strerror or str(error)) from error


def refuse_code(folder: Path) -> None:
    """Refuse a folder whose settings make transformers run foreign code, or whose files have no end.

    Args:
        folder (Path): A folder that may hold ``config.json``, ``tokenizer_config.json`` and similar files.

    Raises:
        TeacherError: A file asks for code, or is damaged; the message names the setting.
        UnreadableError: A file is a pipe, a device, or larger than such files are.
    """
    for file in sorted(folder.glob('*')):
        if not file.is_dir():
            check_file(file)
    for file in sorted(folder.glob('*config*.json')):
        if file.name == 'adapter_config.json':
            raise foreign_code(folder, file.name, 'an adapter, which names another model and the library to import')
        for key, value in _items(read_settings(file)):
            fetched = str(key).endswith(_KERNELS) and '/' in str(value)
            if value and (key in _CODE or fetched):
                raise foreign_code(folder, f'{key}={value!r} in {file.name}')


def check_file(file: Path) -> None:
    """Refuse a file that would block a library or fill the memory before its content is checked.

    Args:
        file (Path): A teacher's settings, texts or weights.

    Raises:
        UnreadableError: It is missing, a pipe or a device, or a text or a safetensors header above the size limit.
    """
    with _readable(file):
        require_file(file, _TEXT if file.suffix in _TEXTS else math.inf)
    if file.suffix == '.safetensors':
        with _readable(file), file.open('rb') as content:
            header = int.from_bytes(content.read(8), 'little')
        if header > _HEADER:
            raise UnreadableError.of(file, f'it declares a header of {header} bytes, expected {_HEADER} at most')


def check_weights_file(file: Union[str, Path]) -> None:
    """Refuse a weights file that would fill the memory or holds more than weights, before a library reads it.

    Args:
        file (str | Path): A file of safetensors, numpy or torch, recognised by its suffix.

    Raises:
        UnreadableError: It is missing, a pipe, a device or a decompression bomb.
        CheckpointError: It is cut off, or holds more than weights.
    """
    file = Path(file)
    check_file(file)
    if file.suffix == '.npz':  # an archive of plain arrays
        if fault := archive_fault(file):
            raise UnreadableError.of(file, f'it {fault}')
    elif file.suffix not in ('.safetensors', '.npy'):
        read_checkpoint(file)


def foreign_code(folder: Path, what: str, why: str = 'which is not executed') -> TeacherError:
    """Make the error for a part that does not belong to the libraries.

    Args:
        folder (Path): The folder of the teacher.
        what (str): The part or setting.
        why (str): Why it is refused. Defaults to ``'which is not executed'``.

    Returns:
        TeacherError: The error to raise.
    """
    return TeacherError(
        f'The teacher in {folder} brings code of its own ({what[:200]}), {why}. Give one that is made of the parts of '
        f'the libraries alone.'
    )


def _items(settings: Union[dict, list]) -> Iterator[tuple[Any, Any]]:
    todo = [settings]
    while todo:
        one = todo.pop()
        for key, value in one.items() if isinstance(one, dict) else enumerate(one):
            yield key, value
            if isinstance(value, (dict, list)):
                todo.append(value)
