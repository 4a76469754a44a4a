"""Tables of evaluations, comparisons and studies in words."""

import json

from mmlgd.pages.compared import (
    comparison_answer,
    comparison_blocks,
    evaluation_answer,
    evaluation_blocks,
    study_answer,
    study_blocks,
)
from mmlgd.pages.folders import read_folder


def test_an_evaluation_beside_teacher_and_random(evaluated):
    found = read_folder(evaluated()).found
    assert evaluation_answer(found) == (
        'On 1,000 labelled images in /my/data, student is right for 52.0 % zero-shot (its teacher 64.0 %) and 48.0 % '
        'by 20 neighbours (its teacher 63.0 %, a random start 12.0 %).'
    )
    chart, table = evaluation_blocks(found)
    assert table.rows[2] == ['random', '–', '12.0', '14.0 ± 1.4']
    assert len(json.loads(chart.figure)['data']) == 3


def test_a_comparison_is_paired_over_seeds(compared):
    folder = compared({'random': {'0': 10.0, '1': 11.0}, 'lgd': {'0': 12.0, '1': 13.5}, 'in1k': {'0': 11.0, '1': 8.0}})
    found = read_folder(folder).found
    said = 'coco/bbox_mAP: lgd is +2.25 ± 0.35 over random and higher on 2 of 2 seeds.'
    assert comparison_answer(found, folder) == said
    _, table = comparison_blocks(found, folder)
    assert table.rows[1] == ['lgd', '12', '13.5', '12.75 ± 1.1']


def test_a_spread_above_the_gain_is_said(compared):
    folder = compared({'random': {'0': 10.0, '1': 10.0}, 'lgd': {'0': 9.0, '1': 12.0}})
    assert 'spread is larger than the difference' in comparison_answer(read_folder(folder).found, folder)
    folder = compared({'random': {'0': 10.0}, 'lgd': {'1': 9.0}}, 'apart')
    assert 'no other start has the seeds of random' in comparison_answer(read_folder(folder).found, folder)
    folder = compared({'random': {'0': 10.0}}, 'alone')
    assert comparison_answer(read_folder(folder).found, folder) == ''


def test_shares_of_the_labels_are_learning_curves(compared):
    values = {
        f'{name}, {share}%': {'0': base + share} for name, base in (('random', 1), ('lgd', 5)) for share in (1, 10)
    }
    folder = compared(values)
    found = read_folder(folder).found
    chart, _ = comparison_blocks(found, folder)
    assert [trace['name'] for trace in json.loads(chart.figure)['data']] == ['random', 'lgd']
    assert '1%: lgd is +4 ± 0 over random' in comparison_answer(found, folder)


def test_a_study(studied):
    found = read_folder(studied).found
    assert study_answer(found) == 'Of 2 variants, lgd has the highest zero-shot: 41.0 %.'
    _, table = study_blocks(found)
    assert table.rows[0][:2] == ['lgd', '41.0 ± 1.4']
