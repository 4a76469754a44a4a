"""Characters that class names and prompts must not have, and names that look the same."""

import re
import unicodedata

LONGEST = 1000  # characters; the longest name of LVIS has 49, and text towers read some 77 tokens
# Control characters, lone surrogates, line and paragraph separators, invisible characters.
_UNREADABLE = {
    'Cc': 'control character',
    'Cs': 'lone surrogate',
    'Zl': 'line separator',
    'Zp': 'paragraph separator',
    'Cf': 'invisible character',
}
# Format characters that words and emoji need: Arabic signs, the (non-)joiners of Persian and Indic scripts, and the
# letters within flags.
_IN_WORDS = re.compile('[\u0600-\u0605\u06dd\u08e2\u200c\u200d\U000e0020-\U000e007f]')
# Invisible, though they are not format characters: fillers and variation selectors.
_UNSEEN = re.compile('[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]')


def unreadable(text: str) -> str:
    """Find the reason why a text cannot be a name or a prompt for a text tower.

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
    for character in text:
        kind = _UNREADABLE.get(unicodedata.category(character))
        if kind and not _IN_WORDS.match(character):
            name = unicodedata.name(character, '')
            return f'has the {kind} {ascii(character)}{f" ({name})" if name else ""} in it'
    return ''


def look(name: str) -> str:
    """Reduce a name to its visible characters: names that look the same count as one name.

    Args:
        name (str): A name.

    Returns:
        str: The name with composed characters (NFC) and single blanks, without invisible characters.

    Examples:
        >>> look('cafe' + chr(0x301)) == look('caf' + chr(0xE9))
        True
    """
    seen = (c for c in _UNSEEN.sub('', name) if unicodedata.category(c) != 'Cf')
    return unicodedata.normalize('NFC', ' '.join(''.join(seen).split()))


def as_word(name: str) -> str:
    """Reduce a name to the word that text towers read: names that look the same are one, and so are 'Cat' and 'cat'.

    Args:
        name (str): A name.

    Returns:
        str: What :func:`look` leaves of it, without capitals.

    Examples:
        >>> as_word('Red  Panda')
        'red panda'
    """
    return look(name).casefold()
