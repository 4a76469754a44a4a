"""Tables of evaluations, comparisons and studies in words."""

import json

import pytest

from mmlgd.pages.blocks import Text
from mmlgd.pages.compared import (
    comparison_answer,
    comparison_blocks,
    evaluation_answer,
    evaluation_blocks,
    proof_answers,
    proof_blocks,
    study_answer,
    study_blocks,
)
from mmlgd.pages.folders import read_folder
from mmlgd.pages.results import metric_of
from mmlgd.studies import compare


def test_an_evaluation_beside_teacher_and_random(evaluated):
    found = read_folder(evaluated()).found
    assert evaluation_answer(found) == (
        'On 1,000 labelled images in /my/data, student is right for 52.0 % zero-shot (its teacher 64.0 %) and 48.0 % '
        'by 20 neighbours (its teacher 63.0 %, a random start 12.0 %).'
    )
    chart, table = evaluation_blocks(found)
    assert table.rows[2] == ['random', '–', '12.0', '14.0 ± 1.4']
    assert len(json.loads(chart.figure)['data']) == 3


def test_an_evaluation_is_told_of_the_student_whatever_the_order(evaluated):
    found = read_folder(evaluated(student='lgd')).found
    told = evaluation_answer(found)
    found.results = {name: found.results[name] for name in ('random', 'lgd', 'teacher')}
    assert evaluation_answer(found) == told and 'lgd is right for 52.0 % zero-shot' in told
    found.results['lgd'].zero_shot = None
    assert 'lgd is right for 48.0 % by 20 neighbours' in evaluation_answer(found)


def test_a_comparison_is_paired_over_seeds(compared):
    folder = compared({'random': {'0': 10.0, '1': 11.0}, 'lgd': {'0': 12.0, '1': 13.5}, 'in1k': {'0': 11.0, '1': 8.0}})
    found = read_folder(folder).found
    said = 'coco/bbox_mAP: lgd is +2.25 ± 0.35 over random and higher on 2 of 2 seeds.'
    assert comparison_answer(found, folder) == said
    _, table = comparison_blocks(found, folder)
    assert table.rows[1] == ['lgd', '12', '13.5', '12.75 ± 1.1']


@pytest.mark.parametrize('seeds', [1, 2])
def test_the_metric_is_found_in_what_compare_writes(tmp_path, seeds):
    (tmp_path / 'table.md').write_text(compare.table({'random': dict.fromkeys(range(seeds), 10.0)}, 'coco/bbox_mAP'))
    assert metric_of(tmp_path / 'table.md') == 'coco/bbox_mAP'


def test_a_spread_above_the_gain_is_said(compared):
    folder = compared({'random': {'0': 10.0, '1': 10.0}, 'lgd': {'0': 9.0, '1': 12.0}})
    assert 'difference is no more than the spread' in comparison_answer(read_folder(folder).found, folder)
    folder = compared({'random': {'0': 10.0}, 'lgd': {'1': 9.0}}, 'apart')
    assert 'no other start has the seeds of random' in comparison_answer(read_folder(folder).found, folder)
    folder = compared({'random': {'0': 10.0}}, 'alone')
    assert comparison_answer(read_folder(folder).found, folder) == ''


def test_a_proof_has_learning_curves(proven):
    found = read_folder(proven()).found
    chart, table, note = proof_blocks(found)
    lines = json.loads(chart.figure)['data']
    assert [(one['name'], one['x'], one['y']) for one in lines] == [
        ('random', [10, 100], [11, 20]),
        ('lgd', [10, 100], [15, 25]),
    ]
    assert table.rows[0] == ['random', '10 %', '11.0 ± 1.4', '2', '1.0'] and note.text == 'a note'
    found.figures = {name: {100.0: own[100.0]} for name, own in found.figures.items()}
    assert proof_blocks(found)[0].title == 'Each dot is a seed'
    found.figures = {name: {100.0: {0: own[100.0][0]}} for name, own in found.figures.items()}
    assert proof_blocks(found)[1].rows[0][2] == '19.0'  # one seed has no spread


def test_a_warning_of_a_proof_is_beside_its_verdict(proven):
    found = read_folder(proven()).found
    found.notes.append('WARNING: 1 of the 48 evaluation images are among the pre-training images of lgd.')
    assert proof_answers(found) == [*found.verdict, found.notes[1]]
    assert [block.text for block in proof_blocks(found) if isinstance(block, Text)] == ['a note']


def test_each_way_of_a_comparison_is_told(compared):
    bases = dict(random=1, lgd=5)
    values = {f'{name}, {way}': {'0': base} for name, base in bases.items() for way in ('frozen', 'tuned')}
    folder = compared(values)
    told = comparison_answer(read_folder(folder).found, folder)
    assert 'frozen: lgd is +4 over random on one seed.' in told and 'tuned: lgd' in told


def test_a_study(studied):
    found = read_folder(studied).found
    assert study_answer(found) == 'Of 2 variants, lgd has the highest zero-shot: 41.0 %.'
    _, table = study_blocks(found)
    assert table.rows[0][:2] == ['lgd', '41.0 ± 1.4']
    alone = found.model_copy(update=dict(runs=dict(lgd=found.runs['lgd'])))
    assert study_answer(alone) == 'lgd has a zero-shot of 41.0 %.'
    labelled = found.runs['seed']['0'].model_copy(update=dict(zero_shot=None, own_head=60.0))
    trained = found.model_copy(update=dict(runs=dict(supervised={'0': labelled})))
    assert study_answer(trained) == 'No zero-shot: a head that was trained with labels answers (supervised).'
