"""Words with several senses, by WordNet, where nltk and its data are installed."""

from collections.abc import Iterable

# Kinds of things that an image shows, as WordNet's files of nouns are called.
_VISIBLE = {'animal', 'artifact', 'body', 'food', 'object', 'person', 'phenomenon', 'plant', 'substance'}


def several_senses(words: Iterable[str]) -> dict[str, list[str]]:
    """Find words that stand for several visible things: a crane is an animal and an artifact.

    Args:
        words (Iterable[str]): Names or phrasings.

    Returns:
        Dict[str, List[str]]: For each such word the kind of each sense, the most frequent sense first; proper names do
        not count. Empty if nltk or its WordNet is not installed.
    """
    try:
        from nltk.corpus import wordnet

        wordnet.ensure_loaded()
    except (ImportError, LookupError, OSError):
        return {}
    found = {}
    for word in words:
        synsets = wordnet.synsets(word.replace(' ', '_'), pos='n')
        kinds = [one.lexname().partition('.')[2] for one in synsets if not one.instance_hypernyms()]
        kinds = [kind for kind in kinds if kind in _VISIBLE]
        if len(kinds) > 1:
            found[word] = kinds
    return found
