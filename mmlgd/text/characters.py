"""What no class name and no prompt has in it."""

import unicodedata

LONGEST = 1000  # characters; the longest name of LVIS has 49, and text towers read some 77 tokens


def unreadable(text: str) -> str:
    """Say what keeps a text from being words for a text tower.

    Args:
        text (str): A name or a sentence.

    Returns:
        str: The fault, to follow the text's name in a message; empty if there is none.

    Examples:
        >>> unreadable('red panda'), unreadable('red' + chr(9) + 'panda')[:25]
        ('', 'has the control character')
    """
    if len(text) > LONGEST:
        return f'has {len(text)} characters'
    bad = next((c for c in text if unicodedata.category(c) in ('Cc', 'Cs')), None)
    return f'has the control character {bad!r} in it' if bad else ''
