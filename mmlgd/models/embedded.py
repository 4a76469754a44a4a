"""What a tower says about images: one embedding per image, and one per place of it."""

from typing import NamedTuple, Optional

from torch import Tensor


class Embedded(NamedTuple):
    """Embeddings of N images, and of their places.

    A place is a position of the last feature map. Places and images share one joint space, and so one bank of names.

    Attributes:
        image (Tensor): (N, D), unit rows.
        places (Tensor, optional): (N, h, w, D), unit rows, row by row from the top left. None if nobody asked for them.
    """

    image: Tensor
    places: Optional[Tensor] = None
