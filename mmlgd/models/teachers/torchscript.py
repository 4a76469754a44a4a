"""Tensors of a TorchScript archive, read as data: the code in it is not compiled, and nothing is called.

OpenAI published CLIP so. The archive is a zip: ``data.pkl`` with the tree of modules, ``data/N`` with the bytes of each
storage, ``code/`` with the program, which is never looked at.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Union
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from mmlgd.checkpoint_files import CheckpointError

_LARGEST_TREE = 2**26  # bytes of data.pkl; OpenAI's have some 100 kB
_DTYPES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}


def is_torchscript(file: Union[str, Path]) -> bool:
    """Tell a TorchScript archive from other files.

    Args:
        file (str | Path): Any file.

    Returns:
        bool: Whether it is one.
    """
    try:
        with ZipFile(file) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except (BadZipFile, OSError, ValueError):
        return False


def read_torchscript(file: Union[str, Path]) -> dict[str, Tensor]:
    """Read all tensors of an archive, without running it.

    Args:
        file (str | Path): Of ``torch.jit.save``.

    Returns:
        Dict[str, Tensor]: By their path in the tree of modules: parameters, buffers and tensors that are neither.

    Raises:
        CheckpointError: It is damaged, or holds more than modules, tensors and plain values.
    """
    try:
        with ZipFile(file) as archive:
            (tree,) = (name for name in archive.namelist() if name.endswith('/data.pkl') and name.count('/') == 1)
            info = archive.getinfo(tree)
            if info.file_size > _LARGEST_TREE:
                raise ValueError(f'{tree} of {info.file_size} bytes')
            with archive.open(info) as content:
                root = _Reader(content, archive, tree[: -len('.pkl')]).load()
            return dict(_tensors(root, '', set()))
    except Exception as error:  # damaged bytes end anywhere in the unpickler
        raise CheckpointError(
            f'{file} is a TorchScript archive that cannot be read as data: {error!r}. Compare its size with the '
            f'original and copy it again, or give a file of weights alone (a state dict, or safetensors).'
        ) from error


class _Module:
    """A module of the archive: its attributes, and no class behind them."""

    def __setstate__(self, state: dict) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f'a {type(state).__name__} in place of attributes')
        self.__dict__.update(state)


class _Storage:
    """A kind of storage, named in the tree."""

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype


class _Reader(pickle.Unpickler):
    """Unpickles modules, tensors and lists of plain values; every other name is refused."""

    def __init__(self, content, archive: ZipFile, folder: str):
        super().__init__(content)
        self.archive = archive
        self.folder = folder
        self.storages: dict[str, Tensor] = {}
        # A tree may set attributes of what it names: of this archive's own class and functions, and of no other's.
        self.module_class = type('Module', (_Module,), {})

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith('__torch__'):
            return self.module_class
        if module == 'torch' and name in _DTYPES:
            return _Storage(_DTYPES[name])
        known = {
            ('torch._utils', '_rebuild_tensor_v2'): partial(_rebuild),
            ('collections', 'OrderedDict'): OrderedDict,
            **{('torch.jit._pickle', f'build_{kind}list'): list for kind in ('int', 'double', 'bool', 'tensor')},
            ('torch.jit._pickle', 'restore_type_tag'): partial(_untagged),
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'it names {module}.{name}, which is not called')
        return known[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage, key, _, numel = pid
        if kind != 'storage' or not isinstance(storage, _Storage) or not isinstance(key, str):
            raise pickle.UnpicklingError(f'a {kind!r} in place of a storage')
        if key not in self.storages:
            info = self.archive.getinfo(f'{self.folder}/{key}')
            size = numel * storage.dtype.itemsize
            if info.compress_type != ZIP_STORED or info.file_size != size:  # torch compresses none: it is no bomb
                raise pickle.UnpicklingError(f'{info.filename} has {info.file_size} bytes, expected {size}')
            content = bytearray(self.archive.read(info))
            empty = torch.empty(0, dtype=storage.dtype)
            self.storages[key] = torch.frombuffer(content, dtype=storage.dtype) if content else empty
        return self.storages[key]


def _rebuild(storage: Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor:
    """View a storage, as ``torch._utils._rebuild_tensor_v2`` does; torch refuses a view that leaves it."""
    if not isinstance(storage, Tensor) or math.prod(size) > storage.numel():
        raise pickle.UnpicklingError(f'a tensor of shape {size} that its storage has not the values of')
    return torch.as_strided(storage, size, stride, offset)


def _untagged(value: Any, *_: Any) -> Any:
    return value


def _tensors(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(module, _Module):
        raise pickle.UnpicklingError(f'a {type(module).__name__} in place of a module')
    seen.add(id(module))
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield f'{prefix}{name}', value
        elif isinstance(value, _Module) and id(value) not in seen:
            yield from _tensors(value, f'{prefix}{name}.', seen)
