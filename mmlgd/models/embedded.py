"""What a tower says about images: one embedding per image, and one per place of it."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor


class Embedded(NamedTuple):
    """Embeddings of N images, and of their places.

    A place is a position of the last feature map. Places and images share one joint space, and so one bank of names.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor, optional): (N, h, w, D), unit rows, row by row from the top left; of a teacher from a store of
            names also (N, h, w, M, 2), see :func:`~mmlgd.models.place_names.best_names`. None if nobody asked for them.
        looks (Tensor, optional): (N, h', w', C), unit rows: what places look like, in a space of its own, of which only
            the similarities count. Comes with the places of a :class:`~mmlgd.TeacherPair` that has such a map.
    """

    image: Tensor
    places: Optional[Tensor] = None
    looks: Optional[Tensor] = None

    def draw(self, count: int) -> 'Drawn':
        """Draw places at random, without replacement, from all places of the N images together.

        The generator of the places' device draws, so that a step can be replayed; the host does not wait for it.

        Args:
            count (int): How many; if there are fewer places, all are drawn.

        Returns:
            Drawn: The same embeddings, and the draw.
        """
        total = self.places.shape[:3].numel()
        return Drawn(self.image, self.places, torch.randperm(total, device=self.places.device)[:count], self.looks)


class Drawn(NamedTuple):
    """Embeddings of N images, of their places, and the places that the terms of a step compare.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor): (N, h, w, D), unit rows, or names of a teacher, likewise.
        rows (Tensor): (P,) int64, the drawn rows of all N·h·w places.
        looks (Tensor, optional): As of :class:`Embedded`.

    Examples:
        >>> import torch
        >>> from mmlgd.models import Embedded
        >>> drawn = Embedded(torch.zeros(2, 8), torch.zeros(2, 3, 3, 8)).draw(5)
        >>> drawn.drawn_places().shape
        torch.Size([5, 8])
    """

    image: Tensor
    places: Tensor
    rows: Tensor
    looks: Optional[Tensor] = None

    def drawn_places(self) -> Tensor:
        """Pick the drawn places.

        Returns:
            Tensor: (P, D), unit rows, or (P, M, 2) names, in the order of the draw.
        """
        return self.places.flatten(0, 2).index_select(0, self.rows)
