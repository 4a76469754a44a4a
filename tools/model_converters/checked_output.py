"""What the converters share: an output file that is whole or not there, and errors without a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from mmlgd.errors import ConfigError, MMLGDError


@contextmanager
def checked_output(path: Path, source: str) -> Iterator[Path]:
    """Lend a temporary file beside an output; it takes the output's name when the block ends without an error.

    Args:
        path (Path): The output. An older one is replaced, its folder created.
        source (str): The file that is read, which the output must not replace.

    Yields:
        Path: The temporary file, to be written and checked.

    Raises:
        ValueError: The output is a folder, or the file that is read.
    """
    if path.is_dir():
        raise ConfigError(
            f'{path} is a folder. Give the name of the file to write, for example {path / "student.pth"}.'
        )
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise ConfigError(f'{path} is the checkpoint that is read. Give the output another name.')
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def run(main: Callable[[], object]) -> None:
    """Run a tool's main; what is wrong with its input is said in one paragraph, without a traceback."""
    try:
        main()
    except (MMLGDError, ValueError, OSError, ImportError) as error:
        raise SystemExit(f'error: {error}') from error
