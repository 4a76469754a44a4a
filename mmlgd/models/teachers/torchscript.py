"""Tensors of a TorchScript archive, read as data: the code in it is not compiled, and nothing is called.

OpenAI published CLIP so. The archive is a zip: ``data.pkl`` with the tree of modules, ``data/N`` with the bytes of each
storage, ``code/`` with the program, which is never looked at.
"""

from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Union
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from mmlgd.checkpoints.archives import described
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.pickles import Name, StandIn
from mmlgd.checkpoints.values import NAMES, TensorOf


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
        with open(file, 'rb') as content:
            return dict(_tensors(described(content, _named, _on_cpu), '', set()))
    except Exception as error:  # damaged bytes end anywhere in the unpickler
        raise CheckpointError(
            f'{file} is a TorchScript archive that cannot be read as data: {error!r}. Compare its size with the '
            f'original and copy it again, or give a file of weights alone (a state dict, or safetensors).'
        ) from error


class _Module(StandIn):
    """A module of the archive: its attributes, and no class behind them."""

    def __init__(self) -> None:
        self.attributes: dict = {}

    def build(self, state: Any) -> None:
        if type(state) is not dict:
            raise UnpicklingError(f'It has a {type(state).__name__} in place of attributes.')
        self.attributes = state


def _list(values: list) -> list:
    return values


def _untagged(value: Any, *_: Any) -> Any:
    return value


_OF_TORCHSCRIPT = {
    **{f'torch.jit._pickle.build_{kind}list': _list for kind in ('int', 'double', 'bool', 'tensor')},
    'torch.jit._pickle.restore_type_tag': _untagged,
    **{
        name: meaning
        for name, meaning in NAMES.items()
        if name.endswith(('Storage', '._rebuild_tensor_v2', '.OrderedDict'))
    },
}


def _named(path: str) -> Name:
    """Give what a name in the tree stands for: modules, tensors, lists of plain values."""
    if path.startswith('__torch__'):
        return Name(_Module)
    if path not in _OF_TORCHSCRIPT:
        raise UnpicklingError(f'It names {path}, which is not called.')
    return Name(_OF_TORCHSCRIPT[path])


def _on_cpu(memory: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
    return memory


def _tensors(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(module, _Module):
        raise UnpicklingError(f'It has a {type(module).__name__} in place of a module.')
    seen.add(id(module))
    for name, value in module.attributes.items():
        if isinstance(value, TensorOf):
            if value.nbytes > value.storage.memory.size:
                raise UnpicklingError(f'It has a tensor of {value.nbytes} bytes that its storage has not.')
            yield f'{prefix}{name}', value.result()
        elif isinstance(value, _Module) and id(value) not in seen:
            yield from _tensors(value, f'{prefix}{name}.', seen)
