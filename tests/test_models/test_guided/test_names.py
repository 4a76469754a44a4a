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
