"""The names of a guide, compared with the classes of the data set."""

from typing import Any, Union

from mmengine.logging import print_log

from mmlgd.errors import ConfigError, brief, shown
from mmlgd.text import VocabularyError, load_vocabulary
from mmlgd.text.characters import as_word
from mmlgd.text.phrasings import phrasings
from mmlgd.text.sets import clean


def check_names(vocabulary: Any, classes: Union[list[str], str, None]) -> list[str]:
    """Take the class names of a data set, or names that agree with them.

    Args:
        vocabulary (str | list | dict, optional): Names of the config, see :func:`~mmlgd.text.load_vocabulary`. None:
            the data set's.
        classes (List[str] | str, optional): Of the data set, in label order; a text is its one class. None if it has
            none.

    Returns:
        List[str]: K names; name k is class k.

    Raises:
        ConfigError: Their number differs, a class has its name at the place of another, the classes of the data set
            are no names, or there are no names at all.
        VocabularyError: The names of the config cannot be used.

    Examples:
        >>> check_names(['red blood cell|erythrocyte', 'platelet'], ['RBC', 'platelet'])
        ['red blood cell|erythrocyte', 'platelet']
        >>> check_names(None, ['traffic_light', 'car'])
        ['traffic light', 'car']
    """
    classes = [classes] if isinstance(classes, str) else classes
    if classes and (other := [one for one in classes if not isinstance(one, str)]):
        raise ConfigError(
            f'The classes in the METAINFO of the training set are not all texts: one is {brief(other[0])}. Give their '
            f'names there: metainfo=dict(classes=(...)) in train_dataloader.dataset.'
        )
    if vocabulary is None:
        if not classes:
            raise ConfigError(
                'The training set has no class names in its METAINFO. Give them: --names SET|FILE, or '
                'model.guide.text.vocabulary.'
            )
        try:
            return load_vocabulary([clean(name) for name in classes])
        except VocabularyError as error:  # of ImageNet, for example: two classes are a 'crane'
            raise ConfigError(
                f'The classes of the training set are no names for a guide: {error} Give other words for all of them, '
                f'in their order: --names SET|FILE, in1k for ImageNet.'
            ) from error
    names = load_vocabulary(vocabulary)
    if not classes:
        return names
    told = f'names: {brief(names, 200)}; classes of the data set: {brief(list(classes), 200)}'
    if len(names) != len(classes):
        raise ConfigError(
            f'There are {len(names)} names and {len(classes)} classes: {told}. Give one name for each class, in its '
            f'order, or leave the names out.'
        )
    places = {_key(word): k for k, name in enumerate(names) for word in phrasings(name)}
    for k, one in enumerate(classes):
        place = places.get(_key(one), k)
        if place != k and _key(classes[place]) != _key(one):  # a data set may have two classes of one name
            raise ConfigError(
                f'Class {k} of the data set is {shown(one)!r}, but the names have it at {place}, and '
                f'{shown(names[k])!r} at {k}: {told}. Give the names in the order of the classes, or leave them out.'
            )
    if other := [f'{names[k]!r} for {one!r}' for k, one in enumerate(classes) if _key(one) not in places]:
        print_log(
            f'{len(other)} of {len(classes)} classes have another name in the guide: {shown(", ".join(other[:5]))}'
            f'{", ..." if other[5:] else ""}.',
            'current',
            30,
        )
    return names


def _key(name: str) -> str:
    return as_word(clean(name))
