"""What every converter gives back: a file that is whole and checked, or no file at all."""

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
    """A file that a converter has checked and left in place.

    Attributes:
        file (Path): The file.
        content (str): What is in it.
        check (str): How it was checked.
        difference (float, optional): The largest difference that the check has found, as a share of the largest value
            of the original. None where nothing was computed.
        notes (Tuple[str]): What is not in the file, and what else the user should know.
        usage (str): Lines of code or config that use the file.
    """

    file: Path
    content: str
    check: str
    usage: str
    difference: Optional[float] = None
    notes: tuple[str, ...] = ()


@contextmanager
def whole_output(path: Path, source: Union[str, Path]) -> Iterator[Path]:
    """Lend a temporary file beside an output; it takes the output's name when the block ends without an error.

    Args:
        path (Path): The output. An older one is replaced, its folder created.
        source (str | Path): The file that is read, which the output must not replace.

    Yields:
        Path: The temporary file, to be written and checked.

    Raises:
        ConfigError: The output is a folder, or the file that is read.
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
        raise WriteError(f'Cannot write {path}: {error}. Make room there, or give another file.') from error
    finally:
        temporary.unlink(missing_ok=True)


def require_output(path: Path, source: Union[str, Path]) -> None:
    """Refuse an output that could not be written, before the work whose result it is.

    Args:
        path (Path): The output; it need not be there.
        source (str | Path): The file that is read.

    Raises:
        ConfigError: The output is a folder, or the file that is read.
        WriteError: Its folder cannot be made or written to.
    """
    if path.is_dir():
        raise ConfigError(
            f'{path} is a folder. Give the name of the file to write, for example {path / "student.pth"}.'
        )
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise ConfigError(f'{path} is the checkpoint that is read. Give the output another name.')
    require_writable(path.parent)
