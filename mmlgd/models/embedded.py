"""What a tower says about images: one embedding per image, and one per place of it."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor


class Embedded(NamedTuple):
    """Embeddings of N images, and of their places.

    A place is a position of the last feature map. Places and images share one joint space, and so one bank of names.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor, optional): (N, h, w, D), unit rows, row by row from the top left. None if nobody asked for them.
        drawn (Tensor, optional): (P,) int64, the rows of all N·h·w places that the terms of a step compare, see
            :meth:`draw`. None before the draw.

    Examples:
        >>> import torch
        >>> from mmlgd.models import Embedded
        >>> t = Embedded(torch.zeros(2, 8), torch.zeros(2, 3, 3, 8)).draw(5)
        >>> t.drawn_places().shape
        torch.Size([5, 8])
    """

    image: Tensor
    places: Optional[Tensor] = None
    drawn: Optional[Tensor] = None

    def draw(self, count: int) -> 'Embedded':
        """Draw places at random, without replacement, from all places of the N images together.

        The generator of the places' device draws, so that a step can be replayed; the host does not wait for it.

        Args:
            count (int): How many; if there are fewer places, all are drawn.

        Returns:
            Embedded: The same embeddings, with ``drawn``.
        """
        total = self.places.shape[:-1].numel()
        return self._replace(drawn=torch.randperm(total, device=self.places.device)[:count])

    def drawn_places(self) -> Tensor:
        """Pick the places that have been drawn.

        Returns:
            Tensor: (P, D), unit rows, in the order of the draw.
        """
        return self.places.flatten(0, 2).index_select(0, self.drawn)
