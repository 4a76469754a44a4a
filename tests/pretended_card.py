"""A card that is not there: memory of the host that counts as a card's, with the rules of a card.

Everything is computed on the CPU. What code moves to ``cuda`` is marked, and so is all that comes of it. An operation
between marked tensors and others is the error that it is on a card, and what makes the host wait for a card is noted.
torch's own fake tensors cannot do this without a driver: autograd asks it about their device.
"""

import sys
from contextlib import ExitStack, contextmanager
from typing import Optional
from unittest import mock

import torch
import torch._tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests import ROOT
from tests.devices import WAITS, aten

CARD, HOST = torch.device('cuda', 0), torch.device('cpu')
_READS = {*WAITS, aten.bincount, aten.histc, aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave}
_INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
_MOVES = (torch.Tensor.to, torch.Tensor.cuda, torch.Tensor.cpu)


def _tensors(*values) -> list[torch.Tensor]:
    """List tensors, and those in lists of them; torch takes no deeper ones."""
    found = []
    for one in values:
        if isinstance(one, torch.Tensor):
            found.append(one)
        elif isinstance(one, (list, tuple)):
            found += [each for each in one if isinstance(each, torch.Tensor)]
    return found


class PretendedCard:
    """The memory of the card, and what the host has waited for.

    Attributes:
        waits (list): What made the host wait for the card, and the line of mmlgd that asked for it; empty if none did.
    """

    def __init__(self):
        self.waits: list[tuple[str, str]] = []
        # A storage's number is not used again as long as there is a reference to it.
        self._mine: dict[int, StorageWeakRef] = {}
        self._anywhere: dict[int, StorageWeakRef] = {}
        # Whether memory that an operation takes without any tensor is the card's. None: it is where it is used.
        self.own: Optional[bool] = None
        self.is_quiet = False

    def has(self, value) -> bool:
        """Tell whether something is a tensor on the card."""
        return isinstance(value, torch.Tensor) and value.untyped_storage()._cdata in self._mine

    def take(self, value, known: frozenset = frozenset()):
        """Put tensors onto the card, but for views of known memory."""
        for one in _tensors(value):
            if (number := one.untyped_storage()._cdata) not in known and number not in self._mine:
                self._mine[number] = StorageWeakRef(one.untyped_storage())
        return value

    def wait(self, what: str) -> None:
        """Note that the host waits."""
        frame, line = sys._getframe(1), ''
        while frame is not None and not line:
            file = frame.f_code.co_filename
            line = f'{file}:{frame.f_lineno}' if file.startswith(f'{ROOT}/mmlgd/') else ''
            frame = frame.f_back
        self.waits.append((what, line.removeprefix(f'{ROOT}/')))

    @contextmanager
    def set(self, **changes):
        """Change attributes for a while."""
        before = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            yield
        finally:
            vars(self).update(before)

    def run(self, func, args, kwargs):
        """Run an operation of torch, with a card's rules."""
        operation = func.overloadpacket
        tensors = _tensors(*args, *kwargs.values())
        if self.is_quiet or not any(map(self.has, tensors)):
            found = func(*args, **kwargs)
            if not tensors and self.own is not False and not self.is_quiet:
                self._place(found)
            return found
        self.take([one for one in tensors if one.untyped_storage()._cdata in self._anywhere])
        others = [one for one in tensors if not self.has(one)]
        if operation is aten.copy_:
            if others and self.own is None:  # a storage copies itself
                self.take(args[0])
            elif others and not (args[2] if len(args) > 2 else kwargs.get('non_blocking')):
                self.wait(f'{func} between host and card')
            return func(*args, **kwargs)
        if operation in _READS:
            self.wait(str(func))
        if operation is aten.multinomial and not (len(args) > 2 and args[2] and args[1] > 1):
            self.wait(f'{func} checks its weights')
        if operation in _INDEXES:
            self._index(func, *args)
        elif any(one.ndim for one in others) or others and operation in (aten.cat, aten.stack):
            told = ', '.join(f'{tuple(one.shape)} on the {"card" if self.has(one) else "host"}' for one in tensors)
            raise RuntimeError(f'Expected all tensors to be on the same device, but {func} got {told}')
        known = frozenset(one.untyped_storage()._cdata for one in tensors)
        return self.take(func(*args, **kwargs), known)

    def _place(self, value) -> None:
        if self.own:
            self.take(value)
        else:
            self._anywhere[value.untyped_storage()._cdata] = StorageWeakRef(value.untyped_storage())

    def _index(self, func, own, indices, values=None, *args) -> None:
        is_fill = values is not None and values.numel() == 1
        if not self.has(own) or (values is not None and values.ndim and not self.has(values)):
            raise RuntimeError(f'Expected all tensors to be on the same device, but {func} got some of the host')
        for index in indices:
            if index is not None and not self.has(index):
                self.wait(f'{func} by an index of the host')
            if index is not None and index.dtype == torch.bool and not is_fill:
                self.wait(f'{func} by a mask')


class _Operations(TorchDispatchMode):
    def __init__(self, card: PretendedCard):
        super().__init__()
        self.card = card

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.card.run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What code says about devices: the operations below know of the host alone."""

    def __init__(self, card: PretendedCard):
        super().__init__()
        self.card = card

    def __torch_function__(self, func, types, args=(), kwargs=None):
        card, kwargs, name = self.card, dict(kwargs or {}), getattr(func, '__name__', '')
        first = args[0] if args else None
        if name == '__get__':
            where, attribute = CARD if card.has(first) else HOST, func.__self__
            known = {torch.Tensor.device: where, torch.Tensor.is_cuda: where is CARD}
            return known[attribute] if attribute in known else func(*args)
        if func in _MOVES:
            return self._moved(func, first, args[1:], kwargs)
        if func is torch.Tensor.pin_memory:
            return first
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and card.has(first):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if func is torch.Tensor.tolist and card.has(first):
            card.wait('tolist')
        inside = _tensors(*args, *kwargs.values())
        if func in (torch.where, torch.Tensor.where) and len({*map(card.has, inside)}) > 1:
            card.wait('where with a tensor of the host')
        kwargs.pop('pin_memory', None)
        where = kwargs.pop('device', None)
        # A list is an index of the host, whatever it is for.
        own = any(map(card.has, inside)) and name not in ('__getitem__', '__setitem__')
        if where is not None:
            kwargs['device'], own = HOST, torch.device(where).type == 'cuda'
        if own and kwargs.get('generator') is not None:
            raise RuntimeError(f"Expected a 'cuda' device type for generator but found {kwargs['generator'].device}")
        with card.set(own=own):
            found = func(*args, **kwargs)
        if own and func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and not card.has(found):
            card.wait(f'{name} of numbers of the host')
            return card.take(found.clone())
        return card.take(found) if own and where is not None else found

    def _moved(self, func, own, args, kwargs):
        card, was = self.card, self.card.has(own)
        given = [*args, kwargs.pop('device', None), kwargs.pop('dtype', None)]
        places = [torch.device(one) for one in given if isinstance(one, (str, torch.device))]
        places += [CARD if card.has(one) else HOST for one in given if isinstance(one, torch.Tensor)]
        places += [{torch.Tensor.cuda: CARD, torch.Tensor.cpu: HOST}.get(func, CARD if was else HOST)]
        dtypes = [one for one in given if isinstance(one, torch.dtype)]
        dtypes += [one.dtype for one in given if isinstance(one, torch.Tensor)]
        flags = [one for one in given if isinstance(one, bool)]
        becomes = places[0].type == 'cuda'
        non_blocking = kwargs.pop('non_blocking', flags[0] if flags else False)
        copies = kwargs.pop('copy', len(flags) > 1 and flags[1])
        with card.set(is_quiet=was != becomes):
            found = torch.Tensor.to(own, [*dtypes, own.dtype][0], copy=copies or was != becomes, **kwargs)
        if was == becomes:
            return found
        if not non_blocking:
            card.wait(f'a copy {"from" if was else "to"} the card')
        elif was:
            card.wait('a copy from the card that is read before it is there')
        return card.take(found) if becomes else found


class _Event:
    """An event of a card, as far as anyone asks."""

    def record(self, *args) -> None:
        """Do nothing."""

    synchronize = record


@contextmanager
def pretended_card():
    """Let ``cuda`` be a card for all that is done in the block.

    Yields:
        PretendedCard: What is on it, and what the host has waited for.
    """
    card, autocast = PretendedCard(), torch.amp.autocast_mode.autocast
    begin = autocast.__init__

    def begin_on_host(self, device_type, *args, **kwargs):
        begin(self, 'cpu' if device_type == 'cuda' else device_type, *args, **kwargs)

    values = {
        'mmengine.device.utils.DEVICE': 'cuda',
        'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available': lambda: True,
        'torch.cuda.amp.common.amp_definitely_not_available': lambda: False,
        'torch.cuda.is_bf16_supported': lambda *args, **kwargs: True,
        'torch.cuda.get_device_name': lambda *args: 'a pretended card',
        'torch.cuda.get_rng_state': lambda *args: torch.get_rng_state(),
        'torch.cuda.Event': _Event,
        'torch.amp.autocast_mode.autocast.__init__': begin_on_host,
    }
    # Of torch's functions in Python each line is to be seen, and not the function alone.
    for module in (torch.nn.functional, torch.functional, torch._tensor):
        checks = [name for name in vars(module) if name.startswith('has_torch_function')]
        values |= {f'{module.__name__}.{name}': lambda *args: False for name in checks}
    with ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(mock.patch(name, value))
        stack.enter_context(_Operations(card))
        stack.enter_context(_Functions(card))
        yield card
