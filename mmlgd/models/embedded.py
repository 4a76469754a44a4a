"""What a tower says about images: one embedding per image, and one per place of it."""

import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor

Extents = tuple[tuple[float, float], ...]


def inside(extents: Extents, grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Count the rows and columns of a grid whose places lie on an image, and not on the padding below and right of it.

    Args:
        extents (Tuple[Tuple[float, float]]): The shares of a batch's height and width that each of N images covers.
        grid (Tuple[int, int]): h and w.

    Returns:
        List[Tuple[int, int]]: N numbers of rows and columns, at least 1: those whose middle lies on the image.

    Examples:
        >>> inside(((1.0, 0.5), (0.3, 1.0)), (4, 7))
        [(4, 3), (1, 7)]
    """
    return [tuple(max(1, math.ceil(share * n - 0.5)) for share, n in zip(shares, grid)) for shares in extents]


class Embedded(NamedTuple):
    """Embeddings of N images, and of their places.

    A place is a position of the last feature map. Places and images share one joint space, and so one bank of names.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor, optional): (N, h, w, D), unit rows, row by row from the top left; of a teacher from a store of
            names also (N, h, w, M, 2), see :func:`~mmlgd.models.place_names.best_names`. None if nobody asked for them.
        looks (Tensor, optional): (N, h', w', C), unit rows: what places look like, in a space of its own, of which only
            the similarities count. Comes with the places of a :class:`~mmlgd.TeacherPair` that has such a map.
        extents (Tuple[Tuple[float, float]], optional): The share of height and width that each image covers, from the
            top left; the rest is padding, whose places are never compared. None if there is no padding.
    """

    image: Tensor
    places: Optional[Tensor] = None
    looks: Optional[Tensor] = None
    extents: Optional[Extents] = None

    def draw(self, count: int, weights: Optional[Tensor] = None) -> 'Drawn':
        """Draw places at random from all places of the N images together, without those on padding.

        The generator of the places' device draws, so that a step can be replayed; the host does not wait for it.

        Args:
            count (int): How many, without replacement; if there are fewer places, all are drawn.
            weights (Tensor, optional): (N, h, w), at least 0, at least one above. Then each of ``count`` draws takes a
                place with a chance in proportion to it, with replacement: the mean over the draw estimates the weighted
                mean. Defaults to None.

        Returns:
            Drawn: The same embeddings, and the draw.
        """
        if weights is not None:
            rows = torch.multinomial(weights.flatten(), count, replacement=True)
            return Drawn(self.image, self.places, rows, self.looks, self.extents)
        device = self.places.device
        if self.extents is None:
            rows = torch.randperm(self.places.shape[:3].numel(), device=device)[:count]
        else:
            there = self.places_on_images().flatten().nonzero()[:, 0].to(device, non_blocking=True)
            rows = there[torch.randperm(len(there), device=device)[:count]]
        return Drawn(self.image, self.places, rows, self.looks, self.extents)

    def places_on_images(self) -> Tensor:
        """Tell places from padding, on the host: nothing waits for the device.

        Returns:
            Tensor: (N, h, w) bool.
        """
        there = torch.zeros(self.places.shape[:3], dtype=torch.bool)
        for image, (rows, columns) in zip(there, inside(self.extents or ((1.0, 1.0),) * len(there), there.shape[1:])):
            image[:rows, :columns] = True
        return there


class Drawn(NamedTuple):
    """Embeddings of N images, of their places, and the places that the terms of a step compare.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor): (N, h, w, D), unit rows, or names of a teacher, likewise.
        rows (Tensor): (P,) int64, the drawn rows of all N·h·w places.
        looks (Tensor, optional): As of :class:`Embedded`.
        extents (Tuple[Tuple[float, float]], optional): Likewise.

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
    extents: Optional[Extents] = None

    def drawn_places(self) -> Tensor:
        """Pick the drawn places.

        Returns:
            Tensor: (P, D), unit rows, or (P, M, 2) names, in the order of the draw.
        """
        return self.places.flatten(0, 2).index_select(0, self.rows)
