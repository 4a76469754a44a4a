"""The result of every converter: a complete, checked file, or no file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
        ConfigError: The output is a folder, or the input file.
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
        temporary.unlink(missing_ok=True)


def require_output(path: Path, source: Union[str, Path]) -> None:
    """Refuse an output that cannot be written, before the work starts.

    Args:
        path (Path): The output; it may not exist yet.
        source (str | Path): The input file.

    Raises:
        ConfigError: The output is a folder, or the input file.
        WriteError: Its folder cannot be created or is not writable.
    """
    if path.is_dir():
        raise ConfigError(f'{path} is a folder. Give the name of a file, for example {path / "student.pth"}.')
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise ConfigError(f'{path} is the input checkpoint. Give the output another name.')
    require_writable(path.parent)
