"""What a checkpoint may hold: plain values, tensors, numpy's numbers and mmengine's logs and schedules.

Files name classes and functions, and a pickle calls what has these names. Here, each name stands for an object of ours
that takes only data: a file that says ``numpy.ndarray`` gets an :class:`_Array`, which is checked and filled. In the
end, :func:`plain_values` turns it into an array of numpy.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from functools import cached_property
from math import prod
from pickle import UnpicklingError
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import Tensor, nn

from mmlgd.errors import brief

from .archives import Storage
from .pickles import Name, StandIn

# The dtypes of numpy without references to objects, by the codes that files use.
_DTYPES = tuple(['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1'])
# The methods that mmengine's own checkpoints refer to by name: of a log, and of a one-cycle schedule.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# Values may share memory, and a few small tensors may be expanded. Beyond this, a small file would fill the memory.
_TIMES, _SLACK = 4, 16 << 20
_VALUE = 8  # bytes that a plain value is counted as
_DIMENSIONS = 64  # of a tensor, as in torch's own loops
_DEEPEST = 100  # levels; later walks through a checkpoint need some stack for each


def _whole(*numbers: Any) -> bool:
    return all(type(number) is int and 0 <= number < 2**63 for number in numbers)


class TensorOf(StandIn):
    """Stands for a tensor, which has to lie inside its storage."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, *others: Any):
        self.requires_grad, hooks, self.bits = (*others, *(False, None, None)[len(others) :])
        if type(storage) is not Storage or type(size) is not tuple or type(stride) is not tuple:
            raise UnpicklingError('It has a tensor without a storage, a size or strides.')
        if len(size) != len(stride) or len(size) > _DIMENSIONS or not _whole(offset, *size, *stride):
            raise UnpicklingError(f'A tensor has sizes and strides >= 0; this one has {brief((offset, size, stride))}.')
        last = sum((length - 1) * step for length, step in zip(size, stride))
        if prod(size) and offset + last >= storage.length:
            raise UnpicklingError(f'It has a tensor of shape {brief(size)} that is larger than its storage.')
        if hooks or type(self.requires_grad) is not bool:
            raise UnpicklingError('It holds a tensor with hooks.')
        able = {'conj', 'neg'} if storage.dtype.is_complex else {'neg'} if storage.dtype.is_floating_point else set()
        if self.bits and not (type(self.bits) is dict and self.bits.keys() <= able):
            raise UnpicklingError(f'It holds a tensor of {storage.dtype} with {brief(self.bits)}.')
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    @property
    def nbytes(self) -> int:
        """Of a copy."""
        return prod(self.size) * self.storage.dtype.itemsize

    @cached_property
    def tensor(self) -> Tensor:
        """The tensor; it shares memory only with other tensors of the file."""
        memory = self.storage.memory.content
        tensor = torch.empty(0, dtype=self.storage.dtype, device=memory.device)
        tensor.set_(memory, self.storage.start + self.offset, self.size, self.stride)
        if self.bits:
            torch._utils.set_tensor_metadata(tensor, self.bits)
        return tensor.requires_grad_(self.requires_grad)

    def result(self) -> Tensor:
        return self.tensor


def _of_rare_kind(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, kind: Any, bits: Any = None
) -> TensorOf:
    """Stand for a tensor of a dtype without a storage class in torch: its storage is given in bytes."""
    if kind not in _RARE or type(storage) is not Storage or storage.dtype is not torch.uint8 or storage.start:
        raise UnpicklingError(f'It has a tensor of {brief(kind, 50)} over {brief(storage, 50)}.')
    storage = storage._replace(dtype=kind, length=storage.length // kind.itemsize)
    return TensorOf(storage, offset, size, stride, grad, hooks, bits)


class _Parameter(StandIn):
    """Stands for ``nn.Parameter``."""

    def __init__(self, data: Any = None, requires_grad: Any = True, hooks: Any = None):
        self.take(data, requires_grad, hooks)

    def take(self, data: Any, requires_grad: Any, hooks: Any) -> None:
        if not isinstance(data, (TensorOf, type(None))) or type(requires_grad) is not bool or hooks:
            raise UnpicklingError('It holds a parameter without a tensor, or with hooks.')
        self.data, self.requires_grad = data, requires_grad

    def build(self, state: Any) -> None:
        """Stand for the function with which torch wrote parameters before 0.4."""
        if type(state) is tuple and len(state) == 5:
            self.take(state[0], state[3], state[2])
        elif type(state) is tuple and len(state) == 3:
            self.take(self.data, state[0], state[2])
        else:
            super().build(state)

    @property
    def nbytes(self) -> int:
        """Of a copy."""
        return self.data.nbytes if self.data else 0

    def result(self) -> nn.Parameter:
        return nn.Parameter(self.data.result(), self.requires_grad) if self.data else super().result()


class _Dtype(StandIn):
    """Stands for ``numpy.dtype``: a kind of plain numbers."""

    def __init__(self, kind: str, align: bool = False, copy: bool = True):
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise UnpicklingError(f'Only arrays of plain numbers are read; this one is of {brief(kind, 50)!r}.')
        self.value = np.dtype(kind)

    def build(self, state: tuple) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        if order not in ('<', '>', '|', '=') or state[2:5] != (None, None, None) or state[7] != 0:
            raise UnpicklingError(f'Only arrays of plain numbers are read; this one is of {brief(state, 50)}.')
        self.value = self.value.newbyteorder(order)


class _Filled(StandIn):
    """Stands for an object that gets its value from its state."""

    def __init__(self, *empty: Any):
        self.value: Union[np.ndarray, HistoryBuffer, None] = None

    def result(self) -> Union[np.ndarray, HistoryBuffer]:
        return super().result() if self.value is None else self.value


class _Array(_Filled):
    """Stands for ``numpy.ndarray``, and for the function that makes an empty one to be filled."""

    def build(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        sizes = isinstance(shape, tuple) and len(shape) <= 8 and all(type(size) is int and size >= 0 for size in shape)
        if not sizes or type(dtype) is not _Dtype or type(content) is not bytes:
            raise UnpicklingError('It has an array without a shape, a dtype or bytes.')
        if prod(shape) * dtype.value.itemsize != len(content):
            raise UnpicklingError(f'It has an array of shape {shape} with {len(content)} bytes, which do not fit.')
        # A copy, so that the array has writable memory of its own.
        self.value = np.ndarray(shape, dtype.value, content, order='F' if fortran else 'C').copy('K')


def _scalar(dtype: _Dtype, content: bytes) -> np.generic:
    """Stand for numpy's function that makes a single number."""
    array = _Array()
    array.build((1, (), dtype, False, content))
    return array.value[()]


class _Log(_Filled):
    """Stands for mmengine's ``HistoryBuffer``: takes the numbers of its state, and no methods."""

    def build(self, state: dict) -> None:
        if not isinstance(state, dict):
            raise UnpicklingError(f'A log needs a dict as its state; this one has a {type(state).__name__}.')
        length, *columns = (state[key] for key in ('max_length', '_log_history', '_count_history'))
        values = [column.value for column in columns if type(column) is _Array and column.value is not None]
        alike = len(values) == 2 and values[0].ndim == 1 and values[0].shape == values[1].shape
        if not alike or type(length) is not int or length < 1:
            raise UnpicklingError('It has a log whose columns, values and counts, are not two arrays of equal length.')
        self.value = HistoryBuffer(max_length=length)
        self.value._log_history, self.value._count_history = values


class _Settings(StandIn):
    """Stands for ``argparse.Namespace``, in which many scripts keep their arguments: a dict of plain values."""

    def __init__(self):
        self.values: dict = {}

    def build(self, state: Any) -> None:
        if type(state) is not dict:
            raise UnpicklingError(f'Arguments need a dict as their state; these have a {type(state).__name__}.')
        self.values = dict(state)


class _Schedule(StandIn):
    """Stands for the class ``OneCycleParamScheduler``, whose curve a schedule refers to."""


_CLASSES = {_Log: HistoryBuffer, _Schedule: OneCycleParamScheduler}


def _method(owner: Name, name: str) -> Any:
    """Stand for ``getattr``: gives the methods in :data:`_METHODS`, and nothing else."""
    real = next((real for ours, real in _CLASSES.items() if type(owner) is Name and owner.meaning is ours), None)
    if not isinstance(name, str) or name not in _METHODS.get(real, ()):
        raise UnpicklingError(f'It asks for {brief(name, 50)!r} of {brief(owner, 50)}; no checkpoint of mmengine does.')
    return getattr(real, name)


def _no_bytes() -> bytes:
    """Stand for ``bytes``, which files call for the content of an empty array."""
    return b''


def _encoded(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``, which files call for bytes; other encodings could make them longer."""
    if encoding not in ('latin1', 'latin-1') or type(text) is not str:
        raise UnpicklingError(f'It encodes {brief(text, 50)!r} as {brief(encoding, 50)!r}; only latin1 is allowed.')
    return text.encode('latin-1')


def _size(lengths: Any = ()) -> torch.Size:
    if type(lengths) is not tuple or not _whole(*lengths):
        raise UnpicklingError(f'A size needs whole numbers >= 0; this one has {brief(lengths, 50)}.')
    return torch.Size(lengths)


_STORAGES = {
    'Double': torch.float64,
    'Float': torch.float32,
    'Half': torch.float16,
    'BFloat16': torch.bfloat16,
    'Long': torch.int64,
    'Int': torch.int32,
    'Short': torch.int16,
    'Char': torch.int8,
    'Byte': torch.uint8,
    'Bool': torch.bool,
    'ComplexDouble': torch.complex128,
    'ComplexFloat': torch.complex64,
}
_FLOAT8 = [f'float8_{kind}' for kind in ('e4m3fn', 'e4m3fnuz', 'e5m2', 'e5m2fnuz', 'e8m0fnu')]
_RARE = [getattr(torch, name, None) for name in ('uint16', 'uint32', 'uint64', 'complex32', *_FLOAT8)]
_RARE = [kind for kind in _RARE if kind]  # the last is of torch 2.7
# Only plain tensors: no other layouts, no storages without content.
NAMES = {
    **{f'torch.{place}{name}Storage': kind for name, kind in _STORAGES.items() for place in ('', 'cuda.')},
    'torch._utils._rebuild_tensor': TensorOf,
    'torch._utils._rebuild_tensor_v2': TensorOf,
    'torch._utils._rebuild_tensor_v3': _of_rare_kind,
    'torch.storage.UntypedStorage': torch.uint8,
    'torch._utils._rebuild_parameter': _Parameter,
    'torch.nn.parameter.Parameter': _Parameter,
    'torch.Size': _size,
    'torch.device': torch.device,
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'builtins.set': set,
    'builtins.complex': complex,
    'builtins.bytes': _no_bytes,
    'builtins.getattr': _method,
    '_codecs.encode': _encoded,
    'numpy.dtype': _Dtype,
    'numpy.ndarray': _Array,
    # numpy 2 moved its pickle helpers; files name either place.
    **{f'numpy.{core}.multiarray._reconstruct': _Array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _scalar for core in ('core', '_core')},
    'argparse.Namespace': _Settings,
    **{f'{real.__module__}.{real.__qualname__}': ours for ours, real in _CLASSES.items()},
}
_KINDS = {str(kind): kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}
_PLAIN = (complex, np.generic, torch.dtype, torch.device)
_FUNCTIONS = [getattr(owner, name) for owner, names in _METHODS.items() for name in names]


def named(path: str) -> Any:
    """Return what a name in a checkpoint stands for.

    Args:
        path (str): As ``module.name``.

    Returns:
        Any: A :class:`~mmlgd.checkpoints.pickles.Name`, or a ``torch.dtype``.

    Raises:
        UnpicklingError: No checkpoint needs this name.
    """
    if path in _KINDS:
        return _KINDS[path]
    if path not in NAMES:
        raise UnpicklingError(f'It names {brief(path)}.')
    return Name(NAMES[path])


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise UnpicklingError(f'It is nested deeper than {_DEEPEST} levels.')


class _Walk:
    """A walk through the content; returns each final value, with its bytes and its depth when written out."""

    def __init__(self, size: int):
        self.most = _TIMES * size + _SLACK
        self.seen: dict[int, Optional[tuple[Any, int, int]]] = {}
        self.kept: list = []  # keeps replaced objects alive, so that no other object gets their id
        self.level = 0

    def __call__(self, value: Any) -> tuple[Any, int, int]:
        if isinstance(value, (str, bytes)):
            return value, _VALUE + len(value), 0
        if value is None or isinstance(value, (int, float)):
            return value, _VALUE, 0
        if id(value) not in self.seen:
            self.kept.append(value)
            self.seen[id(value)] = None
            self.level += 1
            _check_depth(self.level)
            self.seen[id(value)] = result = self._plain(value)
            self.level -= 1
            _check_depth(result[2])  # its parts may have been seen before, at a smaller depth
            if result[1] > self.most:
                raise UnpicklingError(f'Its values would take {result[1]} bytes, far more than the file has.')
        elif self.seen[id(value)] is None:
            raise UnpicklingError(f'It has a {type(value).__name__} that contains itself.')
        return self.seen[id(value)]

    def _plain(self, value: Any) -> tuple[Any, int, int]:
        if isinstance(value, (TensorOf, _Parameter)):
            if value.nbytes > self.most:  # refused before it is created
                return None, value.nbytes, 0
            return value.result(), value.nbytes, 0
        if isinstance(value, _Settings):
            return self._filled(value.values, [*value.values.items()])
        if isinstance(value, StandIn):
            result = value.result()
            return result, getattr(result, 'nbytes', _VALUE), 0
        if isinstance(value, list):
            return self._filled(value, enumerate(value))
        if isinstance(value, dict):
            result = self._filled(value, [*value.items()])
            if not hasattr(value, '_metadata'):
                return result
            value._metadata, size, depth = self(value._metadata)
            return value, result[1] + size, max(result[2], depth + 1)
        if type(value) is tuple:
            items, size, depth = self._filled([None] * len(value), enumerate(value))
            return tuple(items), size, depth
        if isinstance(value, set):
            return value, sum(self(member)[1] for member in value), 1
        if isinstance(value, torch.Size):
            return value, _VALUE * (1 + len(value)), 0
        if isinstance(value, _PLAIN) or any(value is function for function in _FUNCTIONS):
            return value, _VALUE, 0
        raise UnpicklingError(f'It holds a {type(value).__name__}, which is not a tensor, number or text.')

    def _filled(self, into: Any, items: Iterable) -> tuple[Any, int, int]:
        total, deepest = _VALUE, 0
        for key, value in items:
            into[key], size, depth = self(value)
            total += size + self(key)[1]
            deepest = max(deepest, depth)
        return into, total, deepest + 1


def plain_values(content: Any, size: int) -> Any:
    """Turn the content of a checkpoint into ordinary objects of torch, numpy and mmengine.

    Args:
        content (Any): Read with :func:`named`. Its dicts and lists are changed in place.
        size (int): Bytes of its file. The values must not be too large for it, even if each is written out at every
            reference to it.

    Returns:
        Any: The same; nothing in it depends on the file.

    Raises:
        UnpicklingError: A part is not a plain value, is too large or too deep, or contains itself.
    """
    return _Walk(size)(content)[0]
