"""A few of many."""

from collections.abc import Sequence

import numpy as np


def spread(items: Sequence, most: int) -> list:
    """Choose items, evenly spread over all, the first and the last among them.

    Args:
        items (Sequence): Anything in an order, such as images, or a range of rows.
        most (int): How many to choose, at most.

    Returns:
        list: The chosen ones, in order.

    Examples:
        >>> spread(range(9), 3), spread('ab', 3)
        ([0, 4, 8], ['a', 'b'])
    """
    return [items[i] for i in np.linspace(0, len(items) - 1, min(len(items), most)).astype(int).tolist()]
