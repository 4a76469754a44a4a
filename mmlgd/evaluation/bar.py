"""A bar in a terminal while a list of batches is worked through."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_Batch = TypeVar('_Batch')


def shown_in_bar(batches: Iterable[_Batch], what: str) -> Iterable[_Batch]:
    """Show in a terminal how many of the batches are done; elsewhere, such as in a file or a notebook, nothing.

    Args:
        batches (Iterable): With a length.
        what (str): What is done with them, beside the bar.

    Returns:
        Iterable: The same batches.
    """
    if not sys.stdout.isatty():
        return batches
    return track(batches, description=what, console=Console(file=sys.stdout), transient=True)
