"""What the values of masks mean: each name has its pixels, and nothing is guessed that would leave one without any."""

from collections import Counter
from pathlib import Path

import pytest

from mmlgd.datasets.mask_values import MasksError, meaning_of
from mmlgd.errors import ConfigError


def meaning(values, count=2, **options):
    names = ['cat', 'dog', 'bird', 'cow'][:count]
    return meaning_of(Path('data'), Counter({value: 10 for value in values}), names, **options)


@pytest.mark.parametrize(
    'values, options, ignored, shares',
    [
        ((0, 1), {}, 255, 'cat 50.0 %, dog 50.0 %.'),
        ((0, 1, 2), {}, 2, 'cat 33.3 %, dog 33.3 %; no label 33.3 %.'),
        ((0, 1, 255), {}, 255, 'cat 33.3 %, dog 33.3 %; no label 33.3 %.'),
        ((0, 1, 2, 255), dict(reduce_zero_label=True), 255, 'cat 25.0 %, dog 25.0 %; no label 50.0 %.'),
        ((1, 2), dict(reduce_zero_label=True), 255, 'cat 50.0 %, dog 50.0 %.'),
        ((0, 1, 2), dict(reduce_zero_label=True, ignore_index=255), 255, 'cat 33.3 %, dog 33.3 %; no label 33.3 %.'),
        ((0, 255), dict(ignore_index=255), 255, 'cat 50.0 %, dog 0 %; no label 50.0 %.'),
    ],
)
def test_the_pixels_of_each_name_are_told(values, options, ignored, shares):
    ignore_index, notes = meaning(values, **options)
    assert ignore_index == ignored and notes[0] == f'Pixels by name, in up to 200 masks: {shares}'


def test_a_rare_name_has_more_than_no_pixel():
    _, notes = meaning_of(Path('data'), Counter({0: 10**6, 1: 1}), ['cat', 'dog', 'bird'])
    assert 'cat 100.0 %, dog below 0.1 %, bird 0 %' in notes[0]
    assert notes[1] == 'No pixel of the masks that were read is bird.'


def test_a_guess_is_told_with_its_alternative():
    assert meaning((0, 1, 2))[1][1] == (
        'Value 2 of the masks is beyond the names and counts as no label (ignore_index). If value 0 is no label '
        'instead, and value 1 is cat: --cfg-options reduce_zero_label=True.'
    )
    assert meaning((0, 1, 255))[1][1].endswith('(ignore_index).')
    assert len(meaning((0, 1, 2), ignore_index=2)[1]) == 1  # no guess


@pytest.mark.parametrize(
    'values, count, options, said',
    [
        (
            (0, 255),
            2,
            {},
            'is dog, and 50.0 % have the value 255, .* ignore_index=255. If it is dog: write 1 instead of',
        ),
        ((1, 2), 2, {}, 'is cat, .* If value 0 is no label instead, and value 1 is cat: --cfg-options reduce_zero'),
        ((0, 255), 3, {}, 'is dog, bird, and 50.0 % .* If it is no label: --cfg-options ignore_index=255.$'),
        ((0, 1, 2, 255), 2, {}, 'the values 2 beyond the 2 class names.*reduce_zero_label=True'),
        ((0, 1, 2), 2, dict(ignore_index=255), 'the values 2 beyond the 2 class names.*reduce_zero_label=True'),
        ((0, 2, 3), 2, {}, 'the values 2, 3 beyond the 2 class names.* Give a name for every value'),
        ((0, 1, 3), 2, dict(reduce_zero_label=True), 'the values 3 beyond .*name k - 1, from 1'),
        (
            (0, 255),
            2,
            dict(reduce_zero_label=True),
            'no pixel of a class name: their values are 0, 255. .* from 1, into',
        ),
        ((0, 255), 1, {}, 'have 1 class names, expected 2 or more.*such as background'),
    ],
)
def test_what_may_mean_several_things_is_asked(values, count, options, said):
    with pytest.raises(MasksError, match=said):
        meaning(values, count, **options)


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(ignore_index=1), 'value 1 are ignored in data, .* Set ignore_index to a value from 2 to 255'),
        (dict(ignore_index=65535), 'value 65535 are ignored'),
        (dict(ignore_index='void'), "value 'void' are ignored"),
        (dict(reduce_zero_label='yes'), "reduce_zero_label is 'yes', expected True or False"),
        (dict(reduce_zero_label=True, ignore_index=2), 'ignore_index is 2: expected 255'),
    ],
)
def test_options_out_of_their_range(options, said):
    with pytest.raises(ConfigError, match=said):
        meaning((0, 1), **options)


def test_a_byte_holds_255_names_and_no_label():
    names = [f'name {k}' for k in range(256)]
    meaning_of(Path('data'), Counter({0: 10, 1: 10}), names[:255])
    with pytest.raises(MasksError, match='256 class names .* expected 255 at most'):
        meaning_of(Path('data'), Counter({0: 10, 1: 10}), names)
