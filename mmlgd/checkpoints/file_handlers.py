"""mmengine's readers of YAML and pickles, which run code, switched off for a while."""

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
            'from a config of yours.'
        )


@contextmanager
def plain_files() -> Iterator[None]:
    """Let mmengine read YAML as plain values and no pickle, while something is built out of a checkpoint.

    For all of the process, as mmengine has one table of readers; other threads that build wait meanwhile.

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
