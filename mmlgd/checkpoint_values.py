"""What a checkpoint may hold beside plain values and tensors: numpy's numbers and mmengine's logs and schedules.

Files name classes and functions, and torch calls what it finds under these names. Here, each name stands for an object
of ours that takes data alone: a file that says ``numpy.ndarray`` gets an :class:`_Array`, which is checked, filled, and
at last turned into an array of numpy by :func:`plain_values`.
"""

import copy
import pickletools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from torch import Tensor, nn

# Of numpy's numbers, those without references to objects, by the letters that files use.
_DTYPES = tuple(['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1'])
# The methods that mmengine's own checkpoints refer to by name: of a log, and of a one-cycle schedule.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# Tensors may share memory, and a few small ones be expanded; beyond this, a small file is out for a large memory.
_TIMES, _SLACK = 4, 16 << 20
# A tensor is four of them. The hash of one in one in one ... takes the stack of the process, at about 100,000.
_TUPLES = 50_000
_LOCK = threading.RLock()


class _Dtype:
    """Stands for ``numpy.dtype``: a kind of plain numbers."""

    def __init__(self, kind: str, align: bool = False, copy: bool = True):
        if not isinstance(kind, str) or kind not in _DTYPES:
            raise UnpicklingError(f'An array of plain numbers is read, this one is of {str(kind)[:50]!r}.')
        self.value = np.dtype(kind)

    def __setstate__(self, state: tuple) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) == 8 else None
        if order not in ('<', '>', '|', '=') or state[2:5] != (None, None, None) or state[7] != 0:
            raise UnpicklingError(f'An array of plain numbers is read, this one is of {str(state)[:50]}.')
        self.value = self.value.newbyteorder(order)


class _Array:
    """Stands for ``numpy.ndarray``, and for the function that makes an empty one to be filled."""

    __hash__ = None

    def __init__(self, *empty: Any):
        self.value = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, content = state
        sizes = isinstance(shape, tuple) and len(shape) <= 8 and all(type(size) is int and size >= 0 for size in shape)
        if not sizes or type(dtype) is not _Dtype or type(content) is not bytes:
            raise UnpicklingError('An array has a shape, a kind of numbers and their bytes; this one has not.')
        if prod(shape) * dtype.value.itemsize != len(content):
            raise UnpicklingError(f'An array of shape {shape} is not {len(content)} bytes.')
        # A copy: memory of its own, which may be written.
        self.value = np.ndarray(shape, dtype.value, content, order='F' if fortran else 'C').copy('K')


def _scalar(dtype: _Dtype, content: bytes) -> np.generic:
    """Stand for numpy's function that makes a single number."""
    array = _Array()
    array.__setstate__((1, (), dtype, False, content))
    return array.value[()]


class _Log:
    """Stands for mmengine's ``HistoryBuffer``: of its state, the numbers are taken, and no method."""

    __hash__ = None

    def __setstate__(self, state: dict) -> None:
        if not isinstance(state, dict):
            raise UnpicklingError(f'A log has a dict as its state, this one a {type(state).__name__}.')
        length, *columns = (state[key] for key in ('max_length', '_log_history', '_count_history'))
        values = [column.value for column in columns if type(column) is _Array and column.value is not None]
        alike = len(values) == 2 and values[0].ndim == 1 and values[0].shape == values[1].shape
        if not alike or type(length) is not int or length < 1:
            raise UnpicklingError('A log is a column of values and one of counts, of equal length; this one is not.')
        self.value = HistoryBuffer(max_length=length)
        self.value._log_history, self.value._count_history = values


class _Schedule:
    """Stands for the class ``OneCycleParamScheduler``, whose curve a schedule refers to."""


def _method(owner: type, name: str) -> Any:
    """Stand for ``getattr``: the methods of :data:`_METHODS`, and nothing else."""
    real = {_Log: HistoryBuffer, _Schedule: OneCycleParamScheduler}.get(owner) if isinstance(owner, type) else None
    if not isinstance(name, str) or name not in _METHODS.get(real, ()):
        raise UnpicklingError(f'A checkpoint asks for {str(name)[:50]!r} of {owner!r}, which none of mmengine needs.')
    return getattr(real, name)


def _no_bytes() -> bytes:
    """Stand for ``bytes``, by which the content of an empty array is written."""
    return b''


def _path(one: type) -> str:
    return f'{one.__module__}.{one.__qualname__}'


_STAND_INS = {
    'numpy.dtype': _Dtype,
    'numpy.ndarray': _Array,
    # numpy 2 moved its pickle helpers; files name either place.
    **{f'numpy.{core}.multiarray._reconstruct': _Array for core in ('core', '_core')},
    **{f'numpy.{core}.multiarray.scalar': _scalar for core in ('core', '_core')},
    _path(HistoryBuffer): _Log,
    _path(OneCycleParamScheduler): _Schedule,
    'builtins.getattr': _method,
    'builtins.bytes': _no_bytes,
}
# Of the names that torch itself would take, those of plain tensors: no other layouts, no memory without content.
_OF_TORCH = {
    'collections.OrderedDict',
    'collections.Counter',
    'builtins.set',
    'builtins.complex',
    '_codecs.encode',
    'torch.Size',
    'torch.device',
    'torch.nn.parameter.Parameter',
    *(f'torch._utils._rebuild_{what}' for what in ('tensor', 'tensor_v2', 'parameter')),
    *(str(kind) for kind in vars(torch).values() if isinstance(kind, torch.dtype)),
    *(f'torch.{place}{name}' for name in vars(torch) if name.endswith('Storage') for place in ('', 'cuda.')),
} - {'torch.UntypedStorage', 'torch.TypedStorage', 'torch.cuda.UntypedStorage', 'torch.cuda.TypedStorage'}


def _trusted() -> dict[str, Any]:
    """What the program has made torch trust, by name; torch's own layouts and what stands in here are not of it."""
    named = [one if isinstance(one, tuple) else (one, _path(one)) for one in torch.serialization.get_safe_globals()]
    return {name: one for one, name in named if name not in _STAND_INS and not name.startswith('torch.')}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Let ``torch.load(weights_only=True)`` take the names of this module, each as ours; after it, as before."""
    with _LOCK:
        before = torch.serialization.get_safe_globals()
        names = {**_trusted(), **_STAND_INS}
        try:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals([(one, name) for name, one in names.items()])
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def check_names(pickled: BinaryIO, count: int = 1) -> None:
    """Refuse pickles that name anything but plain tensors, plain values and what this module stands in for.

    torch's own list is longer: some of it makes tensors without content, or of layouts that can point anywhere.

    Args:
        pickled (BinaryIO): What is about to be read, at its start.
        count (int): How many pickles there are, one after the other. Defaults to 1.

    Raises:
        UnpicklingError: There is another name, and it is none that the program has made torch trust.
        ValueError: It is no pickle.
    """
    known = {*_OF_TORCH, *_STAND_INS, *_trusted()}
    tuples = 0
    for _ in range(count):
        for opcode, argument, _ in pickletools.genops(pickled):
            tuples += opcode.name.startswith('TUPLE')
            if tuples > _TUPLES:
                raise UnpicklingError(f'It has more than {_TUPLES} tuples.')
            if opcode.name != 'GLOBAL':  # torch takes no other way to name something
                continue
            name = argument.replace(' ', '.').replace('__builtin__.', 'builtins.', 1)
            if name not in known:
                raise UnpicklingError(f'It names {name}.')


class _Plain:
    """A walk through what was read."""

    def __init__(self, size: int):
        self.size, self.stored, self.total = size, 0, 0
        self.seen: dict[int, Any] = {}
        self.kept: list = []  # so that no other object gets the id of one that was replaced
        self.storages: set[int] = set()
        self.memo: dict = {}
        methods = [getattr(owner, name) for owner, names in _METHODS.items() for name in names]
        self.functions = {id(method) for method in methods}
        self.trusted = tuple(one for one in _trusted().values() if isinstance(one, type))

    def __call__(self, value: Any) -> Any:
        if isinstance(value, (str, int, float)) and not isinstance(value, np.generic):
            return value
        if id(value) not in self.seen:
            self.kept.append(value)
            self.seen[id(value)] = value if isinstance(value, (dict, list)) else None
            self.seen[id(value)] = self._converted(value)
        elif self.seen[id(value)] is None and value is not None:
            raise UnpicklingError('It has a tuple in itself.')
        return self.seen[id(value)]

    def _converted(self, value: Any) -> Any:
        if isinstance(value, (dict, list)):
            for key, one in list(value.items() if isinstance(value, dict) else enumerate(value)):
                self(key)
                value[key] = self(one)
            if extra := getattr(value, '__dict__', None):
                if type(value) is not OrderedDict or extra.keys() != {'_metadata'}:
                    raise UnpicklingError('It has a dict with attributes of its own.')
                self(extra['_metadata'])
            return value
        if type(value) is tuple:
            return tuple(map(self, value))
        if isinstance(value, Tensor):
            return self._tensor(value)
        if type(value) in (_Array, _Log) and getattr(value, 'value', None) is not None:
            return value.value
        plain = (str, bytes, int, float, complex, set, np.generic, torch.dtype, torch.device, torch.Size, type(None))
        if isinstance(value, (*plain, *self.trusted)) or id(value) in self.functions:
            return value
        raise UnpicklingError(f'It holds {str(value)[:80]}, which is no weight, number or text.')

    def _tensor(self, value: Tensor) -> Tensor:
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.is_quantized:
            raise UnpicklingError(f'It holds a {type(value).__name__} of layout {value.layout}, no plain tensor.')
        if value.device.type == 'meta' or value.is_nested or value._backward_hooks:
            raise UnpicklingError('It holds a tensor without numbers, or with hooks.')
        storage = value.untyped_storage()
        self.stored += storage.nbytes() if storage._cdata not in self.storages else 0
        self.storages.add(storage._cdata)
        self.total += value.numel() * value.element_size()
        if self.stored > self.size or self.total > _TIMES * self.size + _SLACK:
            raise UnpicklingError(f'Its tensors would take {self.total} bytes, more than there are in the file.')
        # Memory of its own: what torch mapped would change, or be gone, with the file.
        return copy.deepcopy(value, self.memo) if value.device.type == 'cpu' else value


def plain_values(content: Any, size: int) -> Any:
    """Turn what was read with :func:`stand_ins` into ordinary objects of numpy, mmengine and torch.

    Args:
        content (Any): A checkpoint. Its dicts and lists are changed in place.
        size (int): Bytes of its file, for which its tensors must not be too large.

    Returns:
        Any: The same; its tensors do not depend on the file.

    Raises:
        UnpicklingError: Something in it is no plain value, or no such tensor as a module has.
        RecursionError: It is nested too deep.
    """
    return _Plain(size)(content)
