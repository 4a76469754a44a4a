from types import SimpleNamespace

import pytest

from mmlgd.engine import VocabularyCheckHook
from mmlgd.errors import ConfigError


def runner(classes):
    dataset = SimpleNamespace(metainfo={} if classes is None else dict(classes=classes), data_root='data/birds')
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    model = SimpleNamespace(class_names=['cat', 'dog'])
    return SimpleNamespace(model=model, _val_loop=loop, _test_loop=None)


@pytest.mark.parametrize('classes', [None, ('a', 'b'), ('Cat', 'dog'), ('dog', 'dog'), ('9', '10')])
def test_sets_that_fit_or_know_no_classes_pass(classes):
    VocabularyCheckHook().before_run(runner(classes))


def test_another_number_of_classes_is_refused_before_the_run():
    with pytest.raises(ValueError, match="'data/birds' has 3 classes, but the vocabulary has 2 names"):
        VocabularyCheckHook().before_run(runner(('a', 'b', 'c')))


def test_names_in_another_order_are_refused_before_the_run():
    """Label k would have the name of another class."""
    for classes in (('Dog', 'cat'), ('Dog', 'b')):
        with pytest.raises(ConfigError, match="birds' has 'Dog' as its label 0, but the vocabulary has 'cat' there"):
            VocabularyCheckHook().before_run(runner(classes))


def test_numbered_folders_in_the_order_of_their_letters_are_refused_before_the_run():
    """`mmlgd evaluate` counts them by their number."""
    with pytest.raises(ConfigError, match="birds' has numbered class folders, and its labels have '?10'? before '?9"):
        VocabularyCheckHook().before_run(runner(('10', '9')))
