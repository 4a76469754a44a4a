r"""What does a step of LGD send and keep, beside the student's own? Formulas against what two processes here do.

    python tools/benchmarks/scale.py --batch 64 --classes 1000 --dim 1024

Two gloo processes on this machine; bytes sent are read off its loopback device (Linux).
"""

import argparse
import tempfile
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing as mp
from ours import unit_rows

from mmlgd import LGDLoss, VisualSemanticsBank

STEPS = 20


def predicted(n: int, k: int, d: int, world: int) -> dict[str, int]:
    """Bytes of a step, for one process.

    Args:
        n (int): N, pictures of one process.
        k (int): K, class names.
        d (int): D, dimension of the joint space.
        world (int): W, processes.

    Returns:
        Dict[str, int]: What is sent to the other processes; what the banks take; what the losses keep for backward.
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
    # The banks are there anyway, and what is (N, D) is the embeddings'.
    return sum(size for pointer, size in kept.items() if size not in (tsb.nbytes, 4 * n * d))


def _rank(rank: int, folder: str, n: int, k: int, d: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{folder}/rendezvous', rank=rank, world_size=2)
    bank, tsb = VisualSemanticsBank(k, d), unit_rows(k, d, 'cpu')
    t = unit_rows(n, d, 'cpu', rank)
    bank.update(t, tsb)
    torch.distributed.barrier()
    before = _loopback_bytes()
    for _ in range(STEPS):
        bank.update(t, tsb)
    torch.distributed.barrier()
    if rank == 0:
        # Both processes send through the loopback device.
        torch.save((_loopback_bytes() - before) / STEPS / 2, f'{folder}/sent.pth')
    torch.distributed.destroy_process_group()


def main() -> None:
    """Measure on two processes and print both columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', default=[64, 256], help='N of a process; default: %(default)s')
    parser.add_argument('--classes', type=int, nargs='+', default=[80, 1000], help='K; default: %(default)s')
    parser.add_argument('--dim', type=int, default=1024, help='D; default: %(default)s')
    args = parser.parse_args()
    print('| N | K | D | bytes of a step and process | predicted | measured |\n|---|---|---|---|---|---|')
    for n in args.batch:
        for k in args.classes:
            with tempfile.TemporaryDirectory() as folder:
                mp.spawn(_rank, (folder, n, k, args.dim), nprocs=2)
                sent = torch.load(f'{folder}/sent.pth', weights_only=True)
            bank = VisualSemanticsBank(k, args.dim)
            banks = unit_rows(k, args.dim, 'cpu').nbytes + sum(buffer.nbytes for buffer in bank.buffers())
            measured = (sent, banks, _kept(n, k, args.dim))
            for (name, expected), got in zip(predicted(n, k, args.dim, 2).items(), measured):
                print(f'| {n} | {k} | {args.dim} | {name} | {expected:,} | {got:,.0f} |')


if __name__ == '__main__':
    main()
