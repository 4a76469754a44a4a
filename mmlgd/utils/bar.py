"""A bar in a terminal while images or batches are worked through."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_Item = TypeVar('_Item')


def shown_in_bar(items: Iterable[_Item], what: str) -> Iterable[_Item]:
    """Show on standard error how many items are done, if it is a terminal; standard output is for results.

    Args:
        items (Iterable): With a length.
        what (str): What they are, beside the bar.

    Returns:
        Iterable: The same items.
    """
    console = Console(stderr=True)
    return track(items, description=what, console=console, transient=True, disable=not console.is_terminal)
