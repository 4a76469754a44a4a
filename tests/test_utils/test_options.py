"""Options of a command line: what is written is read again, and nothing is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlgd.errors import ConfigError
from mmlgd.utils.options import read_options, write_options

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r'[a-z]+(\.\w+)?', fullmatch=True), VALUES, max_size=3))
def test_what_is_written_is_read_again_or_refused(options):
    try:
        pairs = write_options(options)
    except ConfigError as error:
        assert 'config file' in str(error)
    else:
        assert read_options(pairs) == options


def test_numbers_lists_and_paths_are_written():
    options = {'a': 1e-3, 'b.c': [1, (2.5, 'x')], 'd': '/my images', 'e': None, 'f': True, 'g': []}
    assert read_options(write_options(options)) == options


@pytest.mark.parametrize(
    'pair, said',
    [('a', 'KEY=VALUE'), ('=1', 'KEY=VALUE'), ('a=[red cell,b]', 'an item with a blank'), ('a=[1,[2', 'config file')],
)
def test_what_would_be_read_otherwise_is_refused(pair, said):
    with pytest.raises(ConfigError, match=said):
        read_options([pair])


def test_blanks_of_a_path_stay():
    assert read_options(['a= 1 ', "b='/my images'"]) == dict(a=1, b='/my images')  # mmengine gives /myimages
