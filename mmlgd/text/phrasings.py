"""Phrasings of a class: several words for one thing, as one row of the bank."""

from collections.abc import Iterable

from .characters import as_word, look

SEPARATOR = '|'


def phrasings(name: str) -> list[str]:
    r"""Split a class name into its phrasings: ``'sky|clouds'`` is one class with two.

    A class has one row in the bank, the unit mean over all its phrasings and prompt templates:

    .. math:: e_k = \text{unit}\Big(\sum_{w \in \text{phrasings}_k} \sum_p
              \text{unit}\big(f(\text{template}_p(w))\big)\Big)

    The mean, and not the best phrasing of each image: a class with many phrasings then has no better chance than one
    with a single name, training and every later use have the same bank, and a score needs one product for each class.

    Args:
        name (str): A class name.

    Returns:
        List[str]: At least one phrasing, without surrounding blanks; empty ones and repetitions are kept, for
        :func:`~mmlgd.text.load_vocabulary` refuses them.

    Examples:
        >>> phrasings('sky | clouds'), phrasings('red panda')
        (['sky', 'clouds'], ['red panda'])
    """
    return [phrasing.strip() for phrasing in name.split(SEPARATOR)]


def joined(words: Iterable[str]) -> str:
    """Write the phrasings of a class as one name, the inverse of :func:`phrasings`.

    Args:
        words (Iterable[str]): Phrasings.

    Returns:
        str: The class name.

    Examples:
        >>> joined(['sky', 'clouds'])
        'sky|clouds'
    """
    return SEPARATOR.join(words)


def phrasing_fault(name: str) -> str:
    """Say why the phrasings of a class cannot be used.

    Args:
        name (str): A class name.

    Returns:
        str: The fault, to follow the class's name in a message; empty if there is none. Capitals are no difference:
            most text towers read lower case, and a word that counts twice would have twice the weight.

    Examples:
        >>> phrasing_fault('sky|sky'), phrasing_fault('sky|')
        ("has the phrasing 'sky' twice", 'has an empty phrasing')
    """
    seen: set[str] = set()
    for phrasing in phrasings(name):
        if not look(phrasing):
            return 'has an empty phrasing'
        if as_word(phrasing) in seen:
            return f'has the phrasing {phrasing!r} twice'
        seen.add(as_word(phrasing))
    return ''
