"""Reads tensors of a TorchScript archive as data: its code is not compiled, and nothing is called.

OpenAI published CLIP in this format. The archive is a zip: ``data.pkl`` with the tree of modules, ``data/N`` with the
bytes of each storage, ``code/`` with the program, which is never read.
"""

from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Union
from zipfile import BadZipFile

import torch
from torch import Tensor

from mmlgd.checkpoints.archives import described, opened
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.pickles import Name, StandIn
from mmlgd.checkpoints.values import NAMES, TensorOf, plain_values
from mmlgd.errors import brief, shown

_DEEPEST, _LETTERS = 100, 2**24  # limits: depth of modules; letters of all tensor names together


def is_torchscript(file: Union[str, Path]) -> bool:
    """Check whether a file is a TorchScript archive.

    Args:
        file (str | Path): Any file.

    Returns:
        bool: Whether it is a TorchScript archive.
    """
    try:
        with opened(file) as archive:
            return any(name.endswith('/constants.pkl') for name in archive.namelist())
    except (BadZipFile, OSError):
        return False


def read_torchscript(file: Union[str, Path]) -> dict[str, Tensor]:
    """Read all tensors of an archive, without running it.

    Args:
        file (str | Path): A file of ``torch.jit.save``.

    Returns:
        Dict[str, Tensor]: Parameters, buffers and other tensors, by their path in the tree of modules.

    Raises:
        CheckpointError: The file is damaged, or holds more than modules, tensors and plain values.
    """
    try:
        with open(file, 'rb') as content:
            return plain_values(dict(_tensors(described(content, _named, _on_cpu))), content.seek(0, 2))
    except Exception as error:  # damaged bytes can cause any error in the unpickler
        raise CheckpointError(
            f'{file} is a TorchScript archive that cannot be read as data: {shown(brief(repr(error), 300))}. Compare '
            f'its size with the original and copy it again, or give a file of weights alone (a state dict).'
        ) from error


class _Module(StandIn):
    """A module of the archive: only its attributes, without a class."""

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
        if name.endswith(('Storage', '._rebuild_tensor_v2', '.OrderedDict', '.device', '.complex'))
    },
}


def _named(path: str) -> Name:
    """Resolve a name in the tree: modules, tensors and lists of plain values are allowed."""
    if path.startswith('__torch__'):
        return Name(_Module)
    if path not in _OF_TORCHSCRIPT:
        raise UnpicklingError(f'It names {shown(brief(path))}, which is not called.')
    return Name(_OF_TORCHSCRIPT[path])


def _on_cpu(memory: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
    return memory


def _tensors(root: Any) -> Iterator[tuple[str, TensorOf]]:
    """Walk through the tree and visit each module once; what only the archive's program needs is skipped."""
    if not isinstance(root, _Module):
        raise UnpicklingError(f'It has a {type(root).__name__} in place of a module.')
    walks, seen, letters = [('', iter(root.attributes.items()))], {id(root)}, 0
    while walks:
        prefix, attributes = walks[-1]
        for name, value in attributes:
            if not isinstance(name, str):
                raise UnpicklingError(f'It has an attribute named by a {type(name).__name__}, expected a string.')
            is_inner = isinstance(value, _Module) and id(value) not in seen
            if is_inner or isinstance(value, TensorOf):
                letters += len(prefix) + len(name)
            if letters > _LETTERS or len(walks) > _DEEPEST:
                raise UnpicklingError(f'It has modules deeper than {_DEEPEST}, or names of {_LETTERS} letters.')
            if is_inner:
                seen.add(id(value))
                walks.append((f'{prefix}{name}.', iter(value.attributes.items())))
                break
            if isinstance(value, TensorOf):
                yield f'{prefix}{name}', value
        else:
            walks.pop()
