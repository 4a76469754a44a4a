"""The data sets whose class names mmlgd knows, in label order, and their phrasings."""

import re
from collections import Counter
from importlib import import_module, resources

from .characters import as_word
from .phrasings import joined

# Name -> (module, class) whose METAINFO has the class names in label order.
METAINFO: dict[str, tuple[str, str]] = {
    'coco': ('mmdet.datasets', 'CocoDataset'),
    'lvis-v1': ('mmdet.datasets', 'LVISV1Dataset'),
    'ade20k': ('mmseg.datasets', 'ADE20KDataset'),
    'cityscapes': ('mmseg.datasets', 'CityscapesDataset'),
    'coco-stuff': ('mmseg.datasets', 'COCOStuffDataset'),
}
_PHRASED = '+phrasings'
# open_clip's ImageNet names say 'missile' and 'sunglasses' twice; the second of each pair here gets its WordNet name.
_IN1K_RENAMED = {744: 'projectile', 836: 'sunglass'}


def list_vocabularies() -> list[str]:
    """Names of the data sets whose class names mmlgd knows.

    ``SET+phrasings`` has the same classes in the same order, each with several phrasings where there are some: for
    ``in1k`` the synonyms of WordNet, for ``lvis-v1`` those of its annotations, for ``ade20k``, ``cityscapes`` and
    ``coco-stuff`` plain words, which replace names that mean little or something else out of their data set ('earth',
    'terrain', 'floor-other').

    Returns:
        List[str]: Sorted names, each of which :func:`~mmlgd.text.load_vocabulary` takes.

    Examples:
        >>> [name for name in list_vocabularies() if '+' not in name]
        ['ade20k', 'caltech256', 'cityscapes', 'coco', 'coco-stuff', 'in1k', 'lvis-v1']
        >>> 'ade20k+phrasings' in list_vocabularies()
        True
    """
    phrased = [f'{name}{_PHRASED}' for name in ('ade20k', 'cityscapes', 'coco-stuff', 'in1k', 'lvis-v1')]
    return sorted([*METAINFO, 'caltech256', 'in1k', *phrased])


def names_of(known: str) -> list[str]:
    """Read the names of a known set.

    Args:
        known (str): One of :func:`list_vocabularies`.

    Returns:
        List[str]: Its class names in label order; phrasings of a class are joined as in a text file.

    Examples:
        >>> names_of('cityscapes+phrasings')[0]
        'road|street'
    """
    if known == 'in1k':
        from open_clip import IMAGENET_CLASSNAMES

        return [_IN1K_RENAMED.get(k, name) for k, name in enumerate(IMAGENET_CLASSNAMES)]
    if known == f'in1k{_PHRASED}':
        return _with_wordnet(names_of('in1k'))
    names = metainfo_names(known) if known in METAINFO else packaged_names(known)
    return [clean(name) for name in names]


def metainfo_names(known: str) -> list[str]:
    """Read names from the library that has the data set, or from mmlgd if it is not installed."""
    module, dataset = METAINFO[known]
    try:
        return list(getattr(import_module(module), dataset).METAINFO['classes'])
    except (ImportError, AssertionError):  # not installed, or incompatible with the installed mmcv
        return packaged_names(known)  # the same names: a test compares the two


def packaged_names(known: str) -> list[str]:
    """Read names from mmlgd's own files."""
    text = resources.files('mmlgd.text').joinpath('names', f'{known}.txt').read_text(encoding='utf-8')
    return text.rstrip('\n').split('\n')


def clean(name: str) -> str:
    """Turn LVIS' 'bow_(weapon)' into 'bow weapon': without the qualifiers, names would repeat."""
    return ' '.join(re.sub(r'[_()]+', ' ', name).split())


def _with_wordnet(names: list[str]) -> list[str]:
    """Add WordNet's synonyms, which timm has for ImageNet's classes; a synonym of two classes belongs to none.

    Words that differ in capitals alone are one word, as they are for most text towers.
    """
    from timm.data import ImageNetInfo

    info = ImageNetInfo('imagenet-1k')
    synonyms = [_by_look(info.index_to_description(k).split(', ')) for k in range(len(names))]
    count = Counter(seen for words in synonyms for seen in words)
    taken = set(_by_look(names))
    return [
        joined([name, *(word for seen, word in words.items() if count[seen] == 1 and seen not in taken)])
        for name, words in zip(names, synonyms)
    ]


def _by_look(words: list[str]) -> dict[str, str]:
    """Keep the first spelling of each word, by the word in small letters."""
    found: dict[str, str] = {}
    for word in words:
        found.setdefault(as_word(word), word)
    return found
