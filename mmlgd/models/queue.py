"""A bank without classes: the teacher's embeddings of the latest images, or of the latest places."""

from typing import Optional

import torch
from mmengine.dist import all_gather
from torch import Tensor

from mmlgd.registry import MODELS
from mmlgd.utils.numerics import usable_rows
from mmlgd.utils.validation import checked_settings, require

from .base_bank import QUEUED, Bank


@MODELS.register_module()
class QueueBank(Bank):
    r"""Queue of the teacher's embeddings of the latest images (SEED, Fang et al., ICLR 2021, arXiv 2101.04731).

    As ``model.queue`` it takes the images of each step, as ``model.place_queue`` the places that were drawn in it. A
    term over it, with the self logit, is SEED's loss. With N embeddings :math:`t_0, t_1, \dots` in a step and the
    pointer p,

    .. math:: Q_{(p + i) \bmod M} \leftarrow t_i, \qquad p \leftarrow (p + N) \bmod M

    so that the oldest rows are replaced first. If a batch is larger than the queue, its last M rows stay. Before its
    first write, a row is a random unit vector, the same on every rank and in every run. The checkpoint holds all three
    buffers: a resumed run continues with the same queue.

    Args:
        size (int): M > 0, in images or in places.
        embed_dim (int): D; LGD fills it in.

    Attributes:
        bank (Tensor): (M, D) float32, unit rows.
        visited (Tensor): (M,) bool, rows that have been written.
        pointer (Tensor): Scalar int64, the row that is written next.

    Raises:
        ConfigError: ``size`` is not positive.

    Examples:
        >>> import torch
        >>> from mmlgd import QueueBank
        >>> queue = QueueBank(size=3, embed_dim=2)
        >>> queue.update(torch.eye(2))
        >>> queue.visited.tolist(), queue.pointer.item()
        ([True, True, False], 2)
    """

    role = QUEUED

    @checked_settings
    def __init__(self, size: int, embed_dim: int):
        super().__init__()
        require(size > 0, f'Expected a queue of at least one row, got size={size}.')
        require(embed_dim > 0, f'Expected an embed_dim of at least 1, got embed_dim={embed_dim}.')
        self._start_random(size, embed_dim)
        self.register_buffer('pointer', torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, teacher_embeddings: Tensor, textual_bank: Optional[Tensor] = None) -> None:
        """Enqueue one step's teacher embeddings, in place and without a wait for the device.

        In a distributed run the embeddings of all ranks are gathered first, so that all ranks end with the same
        queue. Call it after the step's losses, which must see the old queue. Rows that are zero, NaN or Inf are
        ignored: the queue keeps its old row.

        Args:
            teacher_embeddings (Tensor): (N, D), unit rows, of this rank.
            textual_bank (Tensor, optional): Not used: a queue has no classes. Defaults to None.
        """
        t = torch.cat(all_gather(teacher_embeddings.float()))  # (N*ranks, D)
        size, count = len(self.bank), len(t)
        kept = t[-size:]  # (min(N*ranks, M), D)
        # The pointer stays a tensor: reading it on the host would wait for the device.
        rows = (self.pointer + torch.arange(count - len(kept), count, device=t.device)) % size
        usable = usable_rows(kept)  # (min(N*ranks, M),)
        self.bank.index_copy_(0, rows, torch.where(usable[:, None], kept, self.bank[rows]))
        self.visited.index_copy_(0, rows, usable | self.visited[rows])
        self.pointer.add_(count).remainder_(size)

    def extra_repr(self) -> str:
        """Shape, for ``print(model)``."""
        size, d = self.bank.shape
        return f'size={size}, embed_dim={d}'
