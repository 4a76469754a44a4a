"""What a pre-training was and what it cost, in words."""

import json

import pytest

from mmlgd.pages.blocks import Code
from mmlgd.pages.commands import next_steps
from mmlgd.pages.folders import read_folder
from mmlgd.pages.trained import answer, cost, curves, facts, is_collapsed


@pytest.fixture
def run(work_dir):
    return read_folder(work_dir())


def test_the_answer_comes_from_the_last_epoch(run):
    told = answer(run)
    assert told.startswith('After 30 steps the student agrees with its teacher on 58 % of the images of training.')
    assert 'uses 4.0 names where its teacher uses 4.5' in told and 'collapsed' not in told


def test_an_evaluation_outside_the_training_comes_first(work_dir):
    folder = work_dir()
    (log,) = folder.glob('*/vis_data/scalars.json')
    seen = {'distillation/agreement': 40.0, 'distillation/effective_classes': 1.1, 'accuracy/top1': 33.0}
    seen.update({'distillation/teacher_effective_classes': 4.0, 'teacher_accuracy/top1': 70.0, 'step': 3})
    log.write_text(log.read_text() + '\n' + json.dumps(seen))
    run = read_folder(folder)
    told = answer(run)
    assert (
        'on 40 % of evaluation images' in told and '33 % of the evaluation images rightly, and its teacher 70 %' in told
    )
    assert is_collapsed(run) and 'collapsed' in told


def test_a_log_without_agreement_says_so(work_dir):
    folder = work_dir()
    (log,) = folder.glob('*/vis_data/scalars.json')
    log.write_text(json.dumps(dict(loss=1.0, iter=10, epoch=1, step=10)))
    assert 'does not say how far' in answer(read_folder(folder))
    assert cost(read_folder(folder))[1:4] == ['–', '–', '–']


@pytest.mark.parametrize('loop, is_cut', [('max_epochs=4', True), ('max_epochs=3', False), ('max_iters=31', True)])
def test_a_run_before_its_end_says_so(work_dir, loop, is_cut):
    folder = work_dir()
    (config,) = folder.glob('*/vis_data/config.py')
    config.write_text(f'{config.read_text()}\ntrain_cfg = dict({loop})\n')
    run = read_folder(folder)
    assert ('It has not finished.' in answer(run)) == is_cut
    code = next((one for one in next_steps([run], []) if isinstance(one, Code)), None)
    assert code.lines[0].endswith(f'--work-dir {folder} --resume') == is_cut


def test_facts(run, images, work_dir):
    (table,) = facts(run)
    told = dict(table.rows)
    assert 'depth 18' in told['student'] and '0.2 million parameters, and 6,240 in its neck' in told['student']
    assert told['loss'] == 'visual bank × 0.5; class names × 0.5'
    assert told['names'] == '5: cat, dog, red panda, tree, car'
    assert told['length'] == '30 steps of 8 images, 10 an epoch'  # two GPUs
    assert told['versions'] == 'mmlgd 9.9.9, torch 2.9.1, mmengine 0.10.7' and told['device'] == 'NVIDIA H100'
    assert told['images'].startswith('80 or a few more, in /nowhere/images')
    (table,) = facts(read_folder(work_dir('other', images=images)))
    assert dict(table.rows)['images'].startswith('12 in ')


def test_the_cost_is_that_of_the_steps(run):
    name, time, speed, waiting, device = cost(run)
    assert (name, time, speed, waiting, device) == ('run', '15 s', '16', '20 %', 'NVIDIA H100')  # 30 steps of 0.5 s


@pytest.mark.parametrize('known', [0, 5])
def test_steps_of_unknown_time_are_left_out(work_dir, known):
    folder = work_dir()
    (log,) = folder.glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in [one for one in records if 'time' in one][known:]:
        record.update(time=float('nan'), data_time=float('nan'))
    log.write_text('\n'.join(map(json.dumps, records)))
    assert cost(read_folder(folder))[1:3] == (['12 s', '16'] if known else ['–', '–'])


def test_the_batches_of_an_evaluation_are_no_steps(work_dir):
    folder = work_dir()
    (log,) = folder.glob('*/vis_data/scalars.json')
    evaluations = [{'accuracy/top1': 9.0, 'data_time': 0.0, 'time': 0.01, 'step': k} for k in (1, 2, 3) * 3]
    log.write_text('\n'.join([log.read_text(), *map(json.dumps, evaluations)]))
    assert cost(read_folder(folder))[2:4] == ['16', '20 %']


def test_curves_are_those_of_the_log(run):
    titles = [chart.title for chart in curves(run)]
    assert titles[0] == 'Distillation losses' and any('Agreement' in title for title in titles)
    assert 'Losses on places' not in titles
    assert [trace['name'] for trace in json.loads(curves(run)[0].figure)['data']] == [
        'class names'
    ]  # the queue is idle
