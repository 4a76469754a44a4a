"""Switch off mmengine's readers of YAML and pickles, which run code, inside a block."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

import yaml
from mmengine.fileio.handlers import PickleHandler, YamlHandler, file_handlers

from .files import CheckpointError

_LOCK = threading.RLock()


class _PlainYaml(YamlHandler):
    def load_from_fileobj(self, file: TextIO, **kwargs) -> Any:
        return yaml.safe_load(file)


class _NoPickle(PickleHandler):
    def load_from_fileobj(self, file: BinaryIO, **kwargs) -> Any:
        raise CheckpointError(
            'Pickle files are not read while the model of a checkpoint is built: they could run any code. Build it '
            'from your own config.'
        )


@contextmanager
def plain_files() -> Iterator[None]:
    """Make mmengine read YAML as plain values, and no pickles, while something is built from a checkpoint.

    This holds for the whole process, because mmengine has one table of readers; other threads wait to build.

    Examples:
        >>> import io
        >>> import mmengine
        >>> from mmlgd.checkpoints.file_handlers import plain_files
        >>> with plain_files():
        ...     mmengine.load(io.StringIO('a: 1'), file_format='yaml')
        {'a': 1}
    """
    plain = dict(yaml=_PlainYaml(), yml=_PlainYaml(), pickle=_NoPickle(), pkl=_NoPickle())
    with _LOCK:
        before = dict(file_handlers)
        file_handlers.update(plain)
        try:
            yield
        finally:
            file_handlers.update(before)
