"""Read pickles as data: a file can only call functions that the reader has named.

Python's own unpickler trusts its file: it hashes any key, however deep or often shared, and allocates memory for any
index of its memo. This one accepts only the few opcodes that torch writes, and only plain values as keys.
"""

from collections import Counter, OrderedDict
from pickle import UnpicklingError
from pickletools import genops
from typing import Any, BinaryIO, Callable

import numpy as np

from mmlgd.errors import brief

# Each opcode makes at most one small object. A checkpoint with the 10,000 tensors of a training run has some 400,000.
_MOST_PARTS = 4_000_000
_COPIED = 4  # a copied value counts as this many parts, because one opcode can copy a whole list
# Characters and bytes that calls may copy, relative to the file size: a file has bytes as text, which become an array.
_TIMES, _SLACK = 4, 16 << 20
# The author of a file chooses its numbers, and so their hashes; keys with chosen hashes take time quadratic in their
# count. Small whole numbers are their own hashes, and rarely collide in a dict.
_COUNTED = 2**16
_MOST_NUMBERS = 10_000
_LARGEST_KEY = 2**64


class Name:
    """What a name in a file stands for.

    Args:
        meaning (Any): An object of the reader: a function, which the file may then call, or any other object.
    """

    def __init__(self, meaning: Any):
        self.meaning = meaning


class StandIn:
    """Stands for an object of a file until the file is read; it checks the file's arguments and takes only data.

    It copies data once, when it gets its state.
    """

    is_built = False

    def build(self, state: Any) -> None:
        """Take the state that the file gives to this object."""
        raise UnpicklingError(f'It gives a state to a {type(self).__name__.strip("_")}, which takes none.')

    def result(self) -> Any:
        """Make the ordinary object that this one stands for."""
        raise UnpicklingError(f'It holds a {type(self).__name__.strip("_")}, which is not a tensor, number or text.')


def read_pickle(content: BinaryIO, named: Callable[[str], Any], stored: Callable[[Any], Any]) -> Any:
    """Read one pickle of protocol 2, as torch writes them.

    Args:
        content (BinaryIO): Positioned at the start of the pickle; afterwards, at its end. Bytes in memory or a memory
            map, which never read beyond their end.
        named (Callable): Returns what ``module.name`` stands for: a :class:`Name` or a plain value; refuses other
            names. The time and memory of a function in it grow no faster than its arguments.
        stored (Callable): Returns what stands for bytes that the file keeps elsewhere.

    Returns:
        Any: Plain values, lists, tuples and dicts; objects of ours for everything else.

    Raises:
        UnpicklingError: It holds something else, or creates more than a file of its size could hold.
        ValueError: It is not a pickle.
        LookupError: It takes a missing item from its stack or memo.
    """
    start = content.tell()
    machine = _Machine(named, stored, content.seek(0, 2) or content.tell())
    content.seek(start)
    for count, (opcode, argument, _) in enumerate(genops(content)):
        if count > machine.parts_left:
            raise UnpicklingError(f'It has more than {_MOST_PARTS} parts.')
        if opcode.name in _VALUES:
            machine.stack.append(argument)
        elif opcode.name in _OPCODES:
            _OPCODES[opcode.name](machine, argument)
        else:
            raise UnpicklingError(
                f'It has the opcode {opcode.name}; only protocol 2, the default pickle_protocol of torch, is read.'
            )
    return machine.stack.pop()


class _Machine:
    """The state that the opcodes of a pickle change: stack, marks and memo."""

    def __init__(self, named: Callable[[str], Any], stored: Callable[[Any], Any], size: int):
        self.named, self.stored = named, stored
        self.parts_left, self.bytes_left, self.numbers_left = _MOST_PARTS, _TIMES * size + _SLACK, _MOST_NUMBERS
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
        """Take the last items off the stack; -1 takes all since the mark."""
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
            raise UnpicklingError(f'It appends to a {type(self.stack[-1]).__name__}, which is not a list.')
        self.stack[-1].extend(items)

    def set_items(self, count: int) -> None:
        items = self.last(count)
        if type(self.stack[-1]) not in (dict, OrderedDict) or len(items) % 2:
            raise UnpicklingError(f'It sets items of a {type(self.stack[-1]).__name__}, which is not a dict.')
        for key, value in zip(items[::2], items[1::2]):
            self.stack[-1][self.key(key)] = value

    def name(self, path: str) -> None:
        # Protocol 2 still uses Python 2's name of the module.
        self.stack.append(self.named(path.replace(' ', '.').replace('__builtin__.', 'builtins.', 1)))

    def call(self, _: None) -> None:
        function, arguments = self.last(2)
        if type(function) is not Name or not callable(function.meaning) or type(arguments) is not tuple:
            raise UnpicklingError(f'It calls a {type(function).__name__}, which is not a function of this reader.')
        meaning = function.meaning
        if isinstance(meaning, type) and issubclass(meaning, StandIn):
            self.parts_left -= len(arguments)
        else:
            self.pay_for(arguments)
        own = _CONTAINERS.get(meaning)
        self.stack.append(own(self, *arguments) if own else meaning(*arguments))

    def build(self, _: None) -> None:
        (state,) = self.last(1)
        owner = self.stack[-1]
        if isinstance(owner, StandIn) and not owner.is_built:
            self.pay_for(state if type(state) is tuple else (state,))
            owner.build(state)
            owner.is_built = True
        elif type(owner) is OrderedDict and type(state) is dict and state.keys() == {'_metadata'}:
            owner._metadata = state['_metadata']  # of `nn.Module.state_dict`
        else:
            raise UnpicklingError(f'It has a {type(owner).__name__} with additional attributes or with two states.')

    def pay_for(self, given: tuple) -> None:
        """Count data before a call copies them: a file may contain them once and copy them many times."""
        self.parts_left -= _COPIED * len(given)
        for one in given if self.parts_left >= 0 else ():
            if isinstance(one, (str, bytes)):
                self.bytes_left -= len(one)
            elif isinstance(one, (list, tuple, dict)):
                self.parts_left -= _COPIED * len(one)
        if self.parts_left < 0 or self.bytes_left < 0:
            raise UnpicklingError(f'Its calls copy more than {_MOST_PARTS} parts, or several times its bytes.')

    def key(self, key: Any) -> Any:
        """Refuse keys of dicts and members of sets that are not plain values, before they are hashed."""
        if isinstance(key, (str, bytes, bool)) or key is None or type(key) is int and 0 <= key < _COUNTED:
            return key
        if not isinstance(key, (float, np.generic)) and not (type(key) is int and abs(key) < _LARGEST_KEY):
            raise UnpicklingError(f'It has {brief(key, 50)}, a {type(key).__name__}, as a key, not a plain value.')
        self.numbers_left -= 1
        if self.numbers_left < 0:
            raise UnpicklingError(
                f'It has more than {_MOST_NUMBERS} numbers as keys, not counting whole numbers below {_COUNTED}.'
            )
        return key

    def ordered(self, items: Any = ()) -> OrderedDict:
        """Stand for ``OrderedDict``; Python 2 wrote the items as its argument."""
        if type(items) not in (list, tuple) or any(type(item) not in (list, tuple) or len(item) != 2 for item in items):
            raise UnpicklingError('An ordered dict is not a list of pairs of keys and values.')
        return OrderedDict((self.key(key), value) for key, value in items)

    def counter(self, counts: Any = None) -> Counter:
        if type(counts) not in (dict, type(None)):
            raise UnpicklingError(f'A counter needs a dict, got a {type(counts).__name__}.')
        return Counter({self.key(key): count for key, count in (counts or {}).items()})

    def set(self, members: Any = ()) -> set:
        if type(members) not in (list, tuple):
            raise UnpicklingError(f'A set needs a list, got a {type(members).__name__}.')
        return set(map(self.key, members))

    def store(self, _: None) -> None:
        self.stack.append(self.stored(self.stack.pop()))


_CONTAINERS: dict[Any, Callable] = {OrderedDict: _Machine.ordered, Counter: _Machine.counter, set: _Machine.set}
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
    'NEWOBJ': _Machine.call,  # it skips __init__; here, a class is one of our functions, which both opcodes call
    'BUILD': _Machine.build,
    'BINPERSID': _Machine.store,
}
