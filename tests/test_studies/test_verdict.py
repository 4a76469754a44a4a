"""The sentences say what was measured, and no more."""

import pytest

from mmlgd.studies.metrics import unit_of
from mmlgd.studies.verdict import verdict_of

AP = unit_of('coco/bbox_mAP')


def starts(random, lgd):
    return dict(random=random, lgd=lgd), dict(lgd='random')


def test_a_gain_with_few_and_all_labels():
    random = {10: {0: 20.0, 1: 22.0, 2: 21.0}, 100: {0: 40.0, 1: 42.0, 2: 41.0}}
    lgd = {10: {0: 28.0, 1: 29.0, 2: 28.5}, 100: {0: 42.0, 1: 44.5, 2: 43.1}}
    first, second = verdict_of(*starts(random, lgd), AP)
    assert first.startswith(
        'lgd is +2.2 ± 0.3 AP over random with 100 % of the labels, on 3 of 3 seeds (95 % interval +2.0 to +2.5); '
    )
    assert first.endswith('; 10 % of the labels with lgd equal 24 % from random.')
    assert second.startswith(
        'lgd is +7.5 ± 0.5 AP over random with 10 % of the labels, on 3 of 3 seeds (95 % interval '
    )


def test_a_spread_above_the_gain_is_said():
    (told, _) = verdict_of(*starts({100: {0: 10.0, 1: 10.0}}, {100: {0: 12.0, 1: 9.0}}), AP)
    assert told == (
        'lgd is +0.5 ± 2.1 AP over random on 1 of 2 seeds (95 % interval -1.0 to +2.0), but this is '
        'no more than the spread over seeds: it shows neither gain nor loss.'
    )


def test_a_loss_is_no_gain():
    (told, _) = verdict_of(*starts({100: {0: 10.0, 1: 10.0}}, {100: {0: 8.0, 1: 7.9}}), AP)
    assert told.startswith('lgd is -2.0 ± 0.1 AP against random on 2 of 2 seeds (95 % interval -2.1 to -2.0)')


def test_what_one_seed_and_one_share_do_not_show():
    told = verdict_of(*starts({100: {0: 10.0}}, {100: {0: 12.0}}), AP)
    assert told[0] == 'lgd is +2.0 AP over random on one seed.'
    assert 'One share' in told[1] and 'One seed' in told[2] and len(told) == 3


@pytest.mark.parametrize(
    'few, words',
    [
        (45.0, 'equal more than 100 %, the largest share measured, from random'),
        (5.0, 'equal less than 10 %, the smallest share measured, from random'),
        (40.0, 'equal 100 % from random'),
    ],
)
def test_labels_outside_of_the_measured_shares(few, words):
    told = verdict_of(*starts({10: {0: 20.0}, 100: {0: 40.0}}, {10: {0: few}, 100: {0: 50.0}}), AP)
    assert told[0].endswith(f'; 10 % of the labels with lgd {words}.')


def test_a_reference_that_does_not_rise():
    told = verdict_of(*starts({10: {0: 40.0}, 100: {0: 20.0}}, {10: {0: 30.0}, 100: {0: 50.0}}), AP)
    said = '; what 10 % of the labels with lgd are worth cannot be said: random does not rise with its labels.'
    assert told[0].endswith(said) and told[2].startswith('random should rise with more labels, and does not')


def test_each_start_is_compared_with_its_own_base():
    figures = dict(a={100: {0: 1.0}}, b={100: {0: 2.0}}, c={100: {0: 5.0}})
    told = verdict_of(figures, dict(b='a', c='b'), unit_of('recall'))
    assert told[:2] == ['b is +1 recall over a on one seed.', 'c is +3 recall over b on one seed.']
