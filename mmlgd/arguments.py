"""Types for argparse that say what they take."""

import argparse
import math
import re
from typing import Callable


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """Take a whole number within bounds.

    Args:
        lowest (int): The least that is taken.
        highest (int): The most.

    Returns:
        Callable: For ``add_argument(type=...)``.

    Examples:
        >>> whole(1, 9)('3')
        3
    """

    def whole_number(text: str) -> int:
        # Longer ones are out of all bounds, and Python refuses to read them.
        number = int(text) if re.fullmatch(r'[+-]?[0-9]{1,30}', text.strip()) else None
        if number is None or not lowest <= number <= highest:
            raise argparse.ArgumentTypeError(f'expected a whole number from {lowest} to {highest}, got {text[:50]!r}')
        return number

    return whole_number


def above_zero(text: str) -> float:
    """Take a finite number above 0.

    Args:
        text (str): Of the command line.

    Returns:
        float: The number.

    Raises:
        argparse.ArgumentTypeError: It is none.

    Examples:
        >>> above_zero('0.01')
        0.01
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f'expected a number above 0, got {text[:50]!r}')
    return number
