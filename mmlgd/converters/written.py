"""The result of every converter: a complete, checked file, or no file."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.utils.files import WriteError, require_writable


@dataclass(frozen=True)
class Written:
    """A file that a converter has written and checked.

    Attributes:
        file (Path): The file.
        content (str): Description of its content.
        check (str): How it was checked.
        difference (float, optional): The largest difference in the check, relative to the largest value of the
            original. None if nothing was computed.
        notes (Tuple[str]): What is missing in the file, and what else the user should know.
        usage (str): Code or config that uses the file.
    """

    file: Path
    content: str
    check: str
    usage: str
    difference: Optional[float] = None
    notes: tuple[str, ...] = ()


@contextmanager
def whole_output(path: Path, source: Union[str, Path]) -> Iterator[Path]:
    """Provide a temporary file beside an output; it gets the output's name if the block ends without an error.

    Args:
        path (Path): The output. An older file is replaced; a missing folder is created.
        source (str | Path): The input file, which the output must not replace.

    Yields:
        Path: The temporary file to write and check.

    Raises:
        ConfigError: The output is a folder, a pipe or a device, or the input file.
        WriteError: It cannot be written.
    """
    require_output(path, source)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, MMLGDError):
            raise
        raise WriteError(f'Cannot write {path}: {error}. Free some space there, or give another file.') from error
    finally:
        with suppress(OSError):  # where it could not be written, its error says why
            temporary.unlink()


def saved(content: dict) -> bytes:
    """Save with torch into memory.

    Writing into a file, torch has an error of its own for a full disk, which does not say so. It also writes the name
    of the file into it.

    Args:
        content (dict): Tensors and plain values.

    Returns:
        bytes: The file.
    """
    import torch  # here: the help of the commands, which reads this module, must not wait for it

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def require_output(path: Path, source: Union[str, Path]) -> None:
    """Refuse an output that cannot be written, before the work starts.

    Args:
        path (Path): The output; it may not exist yet.
        source (str | Path): The input file.

    Raises:
        ConfigError: The output is a folder, a pipe or a device, or the input file.
        WriteError: Its folder cannot be created or is not writable.
    """
    if os.path.isdir(path):  # unlike the methods of a Path, False for a name that is too long
        raise ConfigError(f'{path} is a folder. Give the name of a file, for example {path / "student.pth"}.')
    if os.path.exists(path) and not os.path.isfile(path):  # the file would take its place, also that of /dev/null
        raise ConfigError(f'{path} is a pipe or a device, which the file would replace. Give the name of a file.')
    if os.path.exists(path) and os.path.exists(source) and path.samefile(source):
        raise ConfigError(f'{path} is the input checkpoint. Give the output another name.')
    require_writable(path.parent)
