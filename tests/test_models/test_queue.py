import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import QueueBank

from .reference import enqueue
from .test_banks import unit


@settings(max_examples=40)
@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 12), min_size=1, max_size=5), seed=st.integers(0, 10**6))
def test_update_enqueues_image_by_image(size, batches, seed):
    """Batches that do not divide the size, and batches that exceed it, are no exception."""
    queue = QueueBank(size, 8)
    bank, visited, pointer = queue.bank, queue.visited, 0
    for step, n in enumerate(batches):
        t = unit(n, 8, seed + step)
        bank, visited, pointer = enqueue(bank, visited, pointer, t)
        queue.update(t, unit(3, 8))
        assert torch.equal(queue.bank, bank)
        assert queue.visited.tolist() == [bool(v) for v in visited]
        assert queue.pointer.item() == pointer


@settings(max_examples=20)
@given(size=st.integers(1, 9), n=st.integers(1, 20), cut=st.integers(0, 20), seed=st.integers(0, 10**6))
def test_it_does_not_matter_how_images_are_batched(size, n, cut, seed):
    t = unit(n, 8, seed)
    at_once, in_parts = QueueBank(size, 8), QueueBank(size, 8)
    at_once.update(t)
    for part in (t[:cut], t[cut:]):
        in_parts.update(part)
    for ours, theirs in zip(at_once.buffers(), in_parts.buffers()):
        assert torch.equal(ours, theirs)


def test_rows_start_as_equal_random_unit_vectors_everywhere():
    torch.manual_seed(1)
    first = QueueBank(7, 16)
    torch.manual_seed(2)
    second = QueueBank(7, 16)
    assert torch.equal(first.bank, second.bank)
    torch.testing.assert_close(first.bank.norm(dim=-1), torch.ones(7))
    assert not first.visited.any() and first.pointer == 0


def test_update_is_in_place_float32_and_without_gradient():
    queue = QueueBank(5, 8)
    addresses = [buffer.data_ptr() for buffer in queue.buffers()]
    queue.update(unit(4, 8).half().requires_grad_(), unit(3, 8))
    assert [buffer.data_ptr() for buffer in queue.buffers()] == addresses
    assert queue.bank.dtype == torch.float32 and not queue.bank.requires_grad


def test_a_resumed_queue_goes_on_as_if_nothing_had_happened(tmp_path):
    queue, resumed = QueueBank(5, 8), QueueBank(5, 8)
    queue.update(unit(3, 8, 1))
    torch.save(queue.state_dict(), tmp_path / 'queue.pth')
    resumed.load_state_dict(torch.load(tmp_path / 'queue.pth', weights_only=True))
    for one in (queue, resumed):
        one.update(unit(4, 8, 2))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(queue.buffers(), resumed.buffers()))


def test_an_empty_queue_is_refused():
    with pytest.raises(ValueError, match='got size=0'):
        QueueBank(0, 8)


@pytest.mark.parametrize('value', [0.0, float('nan'), float('inf')])
def test_in_the_place_of_a_broken_embedding_the_queue_keeps_what_it_had(value):
    queue = QueueBank(4, 8)
    queue.update(unit(3, 8, 1))
    before = queue.bank.clone()
    t = unit(3, 8, 2)
    t[0] = t[1] = value  # rows 3, never written, and 0
    queue.update(t)
    assert torch.equal(queue.bank[[3, 0]], before[[3, 0]]) and torch.equal(queue.bank[1], t[2])
    assert queue.visited.tolist() == [True, True, True, False] and queue.pointer == 2
