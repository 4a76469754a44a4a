"""Pickles, read as data: each opcode is taken as what it says, and a file calls what the reader has a name for.

Python's own unpickler trusts its file: it hashes whatever is made a key, however deep or often shared, and makes room
for any index of its memo. This one takes the few opcodes that torch writes, and plain values as keys.
"""

from collections import OrderedDict
from pickle import UnpicklingError
from pickletools import genops
from typing import Any, BinaryIO, Callable

import numpy as np

from mmlgd.errors import brief

# Each makes at most one small object. A checkpoint with the 10,000 tensors of a training run has some 400,000.
_MOST_OPCODES = 4_000_000
# The hash of an integer beyond 64 bits is chosen by whoever writes it.
_LARGEST_KEY = 2**64


class Name:
    """What a file names.

    Args:
        meaning (Any): An object of the reader's: a function, which the file then may call, or any other.
    """

    def __init__(self, meaning: Any):
        self.meaning = meaning


class StandIn:
    """An object of a file until it is whole: it checks what the file says, and takes data alone."""

    def build(self, state: Any) -> None:
        """Take the state that the file gives to this object."""
        raise UnpicklingError(f'It gives a state to a {type(self).__name__.strip("_")}, which has none.')

    def result(self) -> Any:
        """Make the ordinary object that this one stands for."""
        raise UnpicklingError(f'It holds a {type(self).__name__.strip("_")}, which is no weight, number or text.')


def checked_key(key: Any) -> Any:
    """Refuse what is no plain value as a key of a dict or a member of a set, before it is hashed.

    Args:
        key (Any): Of a file.

    Returns:
        Any: The same.

    Raises:
        UnpicklingError: It is another one.
    """
    plain = isinstance(key, (str, bytes, float, bool, np.generic)) or key is None
    if plain or type(key) is int and abs(key) < _LARGEST_KEY:
        return key
    raise UnpicklingError(f'It has {brief(key, 50)}, a {type(key).__name__}, as a key; plain values are.')


def read_pickle(content: BinaryIO, named: Callable[[str], Any], stored: Callable[[Any], Any]) -> Any:
    """Read one pickle of protocol 2, as torch writes them.

    Args:
        content (BinaryIO): At its start; after it, at its end. It is bytes in memory or a memory map, which reads no
            more than there is.
        named (Callable): Gives what ``module.name`` stands for: a :class:`Name` or a plain value; refuses others.
        stored (Callable): Gives what stands for the bytes that the file keeps elsewhere.

    Returns:
        Any: Plain values, lists, tuples and dicts; objects of ours for all else.

    Raises:
        UnpicklingError: It holds something else.
        ValueError: It is no pickle.
        LookupError: It takes from its stack or memo what it has not put there.
    """
    machine = _Machine(named, stored)
    for count, (opcode, argument, _) in enumerate(genops(content)):
        if count > _MOST_OPCODES:
            raise UnpicklingError(f'It has more than {_MOST_OPCODES} parts.')
        if opcode.name in _VALUES:
            machine.stack.append(argument)
        elif opcode.name in _OPCODES:
            _OPCODES[opcode.name](machine, argument)
        else:
            raise UnpicklingError(f'It has the opcode {opcode.name}, which torch does not write.')
    return machine.stack.pop()


class _Machine:
    """What the opcodes of a pickle work on."""

    def __init__(self, named: Callable[[str], Any], stored: Callable[[Any], Any]):
        self.named, self.stored = named, stored
        self.stack: list = []
        self.outer: list[list] = []
        self.memo: dict[int, Any] = {}

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def text_of_python_2(self, text: str) -> None:
        self.stack.append(text.encode('latin-1').decode())

    def mark(self, _: None) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def last(self, count: int) -> list:
        """Take the last items off the stack; -1: all since the mark."""
        if count < 0:
            items, self.stack = self.stack, self.outer.pop()
        elif count > len(self.stack):
            raise IndexError('it takes from an empty stack')
        else:
            items = self.stack[len(self.stack) - count :]
            del self.stack[len(self.stack) - count :]
        return items

    def tuple(self, count: int) -> None:
        items = self.last(count)
        self.stack.append(tuple(items))

    def append(self, count: int) -> None:
        items = self.last(count)
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f'It appends to a {type(self.stack[-1]).__name__}, which is no list.')
        self.stack[-1].extend(items)

    def set_items(self, count: int) -> None:
        items = self.last(count)
        if type(self.stack[-1]) not in (dict, OrderedDict) or len(items) % 2:
            raise UnpicklingError(f'It sets items of a {type(self.stack[-1]).__name__}, which is no dict.')
        for key, value in zip(items[::2], items[1::2]):
            self.stack[-1][checked_key(key)] = value

    def name(self, path: str) -> None:
        # Python 2 called it so, and protocol 2 still does.
        self.stack.append(self.named(path.replace(' ', '.').replace('__builtin__.', 'builtins.', 1)))

    def call(self, _: None) -> None:
        function, arguments = self.last(2)
        if type(function) is not Name or not callable(function.meaning) or type(arguments) is not tuple:
            raise UnpicklingError(f'It calls a {type(function).__name__}, which is no function of this reader.')
        self.stack.append(function.meaning(*arguments))

    def build(self, _: None) -> None:
        (state,) = self.last(1)
        owner = self.stack[-1]
        if isinstance(owner, StandIn):
            owner.build(state)
        elif type(owner) is OrderedDict and type(state) is dict and state.keys() == {'_metadata'}:
            owner._metadata = state['_metadata']  # of `nn.Module.state_dict`
        else:
            raise UnpicklingError(f'It has a {type(owner).__name__} with attributes of its own.')

    def store(self, _: None) -> None:
        self.stack.append(self.stored(self.stack.pop()))


_VALUES = {'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINUNICODE'}
_OPCODES: dict[str, Callable[[_Machine, Any], None]] = {
    'PROTO': lambda machine, _: None,
    'STOP': lambda machine, _: None,
    'NONE': lambda machine, _: machine.stack.append(None),
    'NEWTRUE': lambda machine, _: machine.stack.append(True),
    'NEWFALSE': lambda machine, _: machine.stack.append(False),
    'EMPTY_TUPLE': lambda machine, _: machine.stack.append(()),
    'EMPTY_LIST': lambda machine, _: machine.stack.append([]),
    'EMPTY_DICT': lambda machine, _: machine.stack.append({}),
    'SHORT_BINSTRING': _Machine.text_of_python_2,
    'MARK': _Machine.mark,
    'TUPLE': lambda machine, _: machine.tuple(-1),
    'TUPLE1': lambda machine, _: machine.tuple(1),
    'TUPLE2': lambda machine, _: machine.tuple(2),
    'TUPLE3': lambda machine, _: machine.tuple(3),
    'APPEND': lambda machine, _: machine.append(1),
    'APPENDS': lambda machine, _: machine.append(-1),
    'SETITEM': lambda machine, _: machine.set_items(2),
    'SETITEMS': lambda machine, _: machine.set_items(-1),
    'BINPUT': _Machine.put,
    'LONG_BINPUT': _Machine.put,
    'BINGET': _Machine.get,
    'LONG_BINGET': _Machine.get,
    'GLOBAL': _Machine.name,
    'REDUCE': _Machine.call,
    'NEWOBJ': _Machine.call,  # of a class without its __init__; here, a class is a function of ours either way
    'BUILD': _Machine.build,
    'BINPERSID': _Machine.store,
}
