"""Bytes that a step of LGD sends and keeps in addition to the student's own: formulas and a measurement."""

import tempfile
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing as mp

from mmlgd.models import LGDLoss, VisualSemanticsBank

from .ours import unit_rows

STEPS = 20


def predicted(n: int, k: int, d: int, world: int) -> dict[str, int]:
    """Compute the bytes of a step for one process.

    Args:
        n (int): N, images per process.
        k (int): K, class names.
        d (int): D, dimension of the joint space.
        world (int): W, number of processes.

    Returns:
        Dict[str, int]: Bytes sent to the other processes, of the banks, and kept by the losses for backward.
    """
    return {
        'sent for the bank, (W - 1) 4 N D': (world - 1) * 4 * n * d,
        'banks, 8 K D + K': 8 * k * d + k,
        'kept for backward by the losses, 16 N (K + 1/2)': 16 * n * k + 8 * n,
    }


def _loopback_bytes() -> int:
    line = next(line for line in Path('/proc/net/dev').read_text().splitlines() if line.strip().startswith('lo:'))
    return int(line.split(':')[1].split()[8])


def _kept(n: int, k: int, d: int) -> int:
    tsb, vsb = unit_rows(k, d, 'cpu'), unit_rows(k, d, 'cpu', 1)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        LGDLoss()(unit_rows(n, d, 'cpu', 2).requires_grad_(), unit_rows(n, d, 'cpu', 3), tsb, vsb)
    # Not counted: the banks, which exist before the step, and (N, D) tensors, which belong to the embeddings.
    return sum(size for pointer, size in kept.items() if size not in (tsb.nbytes, 4 * n * d))


def _rank(rank: int, folder: str, sizes: list[tuple[int, int, int]]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{folder}/rendezvous', rank=rank, world_size=2)
    # Both processes send through the loopback device. So may others meanwhile, which can only add to it.
    sent = [min(_sent(rank, *size) for _ in range(3)) / STEPS / 2 for size in sizes]
    if rank == 0:
        torch.save(sent, f'{folder}/sent.pth')
    torch.distributed.destroy_process_group()


def _sent(rank: int, n: int, k: int, d: int) -> int:
    bank, tsb = VisualSemanticsBank(k, d), unit_rows(k, d, 'cpu')
    t = unit_rows(n, d, 'cpu', rank)
    bank.update(t, tsb)
    torch.distributed.barrier()
    before = _loopback_bytes()
    for _ in range(STEPS):
        bank.update(t, tsb)
    torch.distributed.barrier()
    sent = _loopback_bytes() - before
    torch.distributed.barrier()  # before any process continues with the next sizes
    return sent


def measured(sizes: list[tuple[int, int, int]]) -> list[tuple[float, int, int]]:
    """Measure the values of :func:`predicted` with two gloo processes on this machine (Linux).

    Args:
        sizes (List[Tuple[int, int, int]]): N, K and D of each step.

    Returns:
        List[Tuple[float, int, int]]: Bytes sent, of the banks, and kept by the losses, for each size.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(_rank, (folder, sizes), nprocs=2, start_method='forkserver')
        sent = torch.load(f'{folder}/sent.pth', weights_only=True)
    return [
        (one, sum(buffer.nbytes for buffer in VisualSemanticsBank(k, d).buffers()) + 4 * k * d, _kept(n, k, d))
        for one, (n, k, d) in zip(sent, sizes)
    ]
