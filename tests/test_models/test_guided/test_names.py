"""Names of a guide agree with the classes of the data set, in number and order."""

import pytest

from mmlgd.errors import ConfigError
from mmlgd.models.guided.names import check_names

COCO = ('person', 'traffic light', 'dog')


def test_without_names_they_are_those_of_the_data_set():
    assert check_names(None, ['bow_(weapon)', 'car']) == ['bow weapon', 'car']


@pytest.mark.parametrize(
    'names',
    [
        ['person', 'traffic light', 'dog'],
        ['Person', 'traffic_light', 'dog'],
        ['man|person|woman', 'traffic light', 'dog'],
        ['human', 'signal', 'hound'],
    ],
)
def test_other_words_in_the_same_order_are_taken(names):
    assert check_names(names, COCO) == names and check_names(names, None) == names


@pytest.mark.parametrize(
    'names, message',
    [
        (
            ['person', 'dog'],
            r"2 names and 3 classes: names: \['person', 'dog'\]; classes of the data set: \['person', 'tr",
        ),
        (['person', 'dog', 'traffic light'], "Class 1 of the data set is 'traffic light', but the names have it at 2"),
        (['dog|hound', 'lamp', 'cat'], "Class 2 of the data set is 'dog', but the names have it at 0, and 'cat' at 2"),
    ],
)
def test_names_that_disagree_are_refused_with_both_shown(names, message):
    with pytest.raises(ConfigError, match=message):
        check_names(names, COCO)


def test_no_names_at_all_are_refused():
    with pytest.raises(ConfigError, match='no class names in its METAINFO.*--names'):
        check_names(None, None)


@pytest.mark.parametrize('names', [['Dog', 'Traffic Light', 'Person'], ['DOG', 'lamp', 'car']])
def test_capitals_do_not_hide_another_order(names):
    with pytest.raises(ConfigError, match='the names have it at'):
        check_names(names, COCO)


def test_a_text_is_one_class_and_other_values_are_refused():
    assert check_names(None, 'blood cell') == ['blood cell'] == check_names(['blood cell'], 'blood cell')
    for classes in ([0, 1], ['cat', None]):
        with pytest.raises(ConfigError, match='not all texts: one is .*metainfo=dict'):
            check_names(None, classes)


def test_classes_of_one_name_need_other_words():
    """As mmpretrain's ImageNet, of which two are a 'crane'."""
    with pytest.raises(ConfigError, match="no names for a guide: .*'crane' twice.*--names"):
        check_names(None, ['crane', 'dog', 'crane'])
    assert check_names(['crane bird', 'dog', 'crane'], ['crane', 'dog', 'crane'])[0] == 'crane bird'
