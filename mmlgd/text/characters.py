"""What no class name and no prompt has in it, and when two names are one."""

import re
import unicodedata

LONGEST = 1000  # characters; the longest name of LVIS has 49, and text towers read some 77 tokens
# Control characters, halves of a character, line and paragraph separators, invisible ones.
_UNREADABLE = {
    'Cc': 'control character',
    'Cs': 'half character',
    'Zl': 'line separator',
    'Zp': 'paragraph separator',
    'Cf': 'invisible character',
}
# Formatting that words and emoji are written with: Arabic signs, the (non-)joiners of Persian and Indic scripts, and
# the letters within flags.
_IN_WORDS = re.compile('[\u0600-\u0605\u06dd\u08e2\u200c\u200d\U000e0020-\U000e007f]')
# Without a look of their own, though no formatting: fillers, and selectors of variants.
_UNSEEN = re.compile('[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]')


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
    for character in text:
        kind = _UNREADABLE.get(unicodedata.category(character))
        if kind and not _IN_WORDS.match(character):
            name = unicodedata.name(character, '')
            return f'has the {kind} {ascii(character)}{f" ({name})" if name else ""} in it'
    return ''


def look(name: str) -> str:
    """Reduce a name to what is seen of it: names that look the same are one name.

    Args:
        name (str): A name.

    Returns:
        str: Its characters composed, single blanks, and nothing invisible.

    Examples:
        >>> look('cafe' + chr(0x301)) == look('caf' + chr(0xE9))
        True
    """
    seen = (c for c in _UNSEEN.sub('', name) if unicodedata.category(c) != 'Cf')
    return unicodedata.normalize('NFC', ' '.join(''.join(seen).split()))
