"""A class folder belongs to the name that it is called like; a few that are called so do not decide for the others."""

import pytest

from mmlgd.errors import ConfigError
from mmlgd.text import classes_of


@pytest.mark.parametrize(
    'folders, names, order',
    [
        (['cat', 'dog', 'tree'], ['tree', 'dog', 'cat'], [2, 1, 0]),
        (['Black_Stork', 'ice-lolly'], ['ice  lolly', 'black stork'], [1, 0]),
        (['gold fish', 'koala'], ['koala', 'goldfish|gold fish'], [1, 0]),
        (['n01', 'n02'], ['goldfish', 'bullfrog'], [0, 1]),
        (['0', '1', '10', '2'], ['a', 'b', 'c', 'd'], [0, 1, 3, 2]),
        (['class1', 'class10', 'class9'], ['a', 'b', 'c'], [0, 2, 1]),
        (['10', '9'], ['9', '10'], [1, 0]),  # a name comes first
        (['a10', 'b9'], ['a', 'b'], [0, 1]),  # not the number alone differs
        (['bullfrog', 'gold-fish'], ['bullfrog', 'goldfish'], [0, 1]),  # one of another spelling, at its place
    ],
)
def test_the_order_of_the_names(folders, names, order):
    assert classes_of(folders, names, 'val') == order


@pytest.mark.parametrize(
    'folders, names, words',
    [
        (['cat', 'dog', 'ice_cream'], ['ice lolly', 'dog', 'cat'], 'such as .cat., which is name 3, .* not: ice_cream'),
        (['a', 'b', 'B'], ['b', 'a', 'c'], 'such as .a., which is name 2, .* not: two of one class'),
    ],
)
def test_some_names_alone_do_not_tell_the_order(folders, names, words):
    with pytest.raises(ConfigError, match=words):
        classes_of(folders, names, 'val')
