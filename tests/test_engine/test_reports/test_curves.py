"""What a run has logged is what is drawn: across resumed runs, and whatever of it there is."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmlgd import DistillationLoss
from mmlgd.engine import CurvesHook
from mmlgd.engine.reports import draw_curves, read_scalars
from mmlgd.engine.reports.curves import panels_of
from tests.malicious import ENDLESS

pytestmark = pytest.mark.usefixtures('drawn')


def log(work_dir, name, *records):
    file = work_dir / name / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text('\n'.join(map(json.dumps, records)) + '\n')


def train(step, loss):
    return dict(lr=0.1, loss_visual=loss, epoch=step // 10 + 1, iter=step, step=step)


def val(epoch, agreement):
    return {'distillation/agreement': agreement, 'time': 0.1, 'step': epoch}


def listed(curve):
    return [values.tolist() for values in curve]


def test_steps_of_training_are_placed_among_the_epochs_of_evaluation(tmp_path):
    log(tmp_path, '20260101_000000', train(5, 3.0), train(10, 2.0), {'bank/visited': 0.5, 'step': 1}, val(1, 40.0))
    curves = read_scalars(tmp_path, iterations_per_epoch=10)
    assert listed(curves['loss_visual']) == [[0.5, 1.0], [3.0, 2.0]]
    assert listed(curves['bank/visited']) == [[1.0], [0.5]]
    assert listed(curves['distillation/agreement']) == [[1.0], [40.0]]


def test_a_resumed_run_is_one_curve(tmp_path):
    log(tmp_path, '20260101_000000', train(10, 3.0), val(1, 40.0), train(20, 2.5), val(2, 50.0), train(25, 2.4))
    log(tmp_path, '20260102_000000', train(30, 2.0), val(3, 60.0))  # from the checkpoint of epoch 2
    curves = read_scalars(tmp_path, iterations_per_epoch=10)
    assert listed(curves['loss_visual']) == [[1.0, 2.0, 2.5, 3.0], [3.0, 2.5, 2.4, 2.0]]
    assert listed(curves['distillation/agreement']) == [[1.0, 2.0, 3.0], [40.0, 50.0, 60.0]]


def test_a_resumed_run_has_no_evaluation_of_steps_that_were_given_up(tmp_path):
    # Evaluated each second epoch, stopped in the fifth, and resumed from the checkpoint of the third.
    log(tmp_path, '20260101_000000', train(20, 3.0), val(2, 40.0), train(30, 2.5), train(40, 2.4), val(4, 50.0))
    log(tmp_path, '20260102_000000', train(35, 2.0))
    curves = read_scalars(tmp_path, iterations_per_epoch=10)
    assert listed(curves['distillation/agreement']) == [[2.0], [40.0]]
    assert listed(curves['loss_visual']) == [[2.0, 3.0, 3.5], [3.0, 2.5, 2.0]]
    log(tmp_path, '20260103_000000', val(4, 60.0))  # an evaluation alone
    assert listed(read_scalars(tmp_path, 10)['distillation/agreement']) == [[2.0, 4.0], [40.0, 60.0]]


def test_a_run_started_anew_shows_itself_alone(tmp_path):
    log(tmp_path, '20260101_000000', train(10, 3.0), val(1, 40.0), train(20, 2.5), val(2, 50.0))
    log(tmp_path, '20260102_000000', train(10, 9.0))  # without an evaluation
    curves = read_scalars(tmp_path, 10)
    assert set(curves) == {'lr', 'loss_visual'} and listed(curves['loss_visual']) == [[1.0], [9.0]]


@pytest.mark.parametrize('is_resumed', [False, True])
def test_the_config_of_a_start_says_whether_it_went_on(tmp_path, is_resumed):
    log(tmp_path, '20260101_000000', train(10, 3.0), val(1, 40.0), train(20, 2.5))
    log(tmp_path, '20260102_000000', train(15, 9.0), train(30, 8.0))  # a longer interval, or a resume
    (tmp_path / '20260102_000000/vis_data/config.py').write_text(f"a = 'resume = True'\r\nresume = {is_resumed}\r\n")
    curves = read_scalars(tmp_path, 10)
    assert listed(curves['loss_visual'])[1] == ([3.0, 9.0, 8.0] if is_resumed else [9.0, 8.0])
    assert ('distillation/agreement' in curves) == is_resumed


def test_a_line_that_a_killed_run_has_not_finished_is_left_out(tmp_path):
    log(tmp_path, '20260101_000000', train(10, 3.0), train(20, 2.5))
    file = tmp_path / '20260101_000000/vis_data/scalars.json'
    file.write_text(file.read_text()[:-20])
    assert listed(read_scalars(tmp_path, 10)['loss_visual']) == [[1.0], [3.0]]


def test_no_log_no_curves(tmp_path):
    assert read_scalars(tmp_path, 10) == {}
    with pytest.raises(ValueError, match="log has \\['lr'\\]"):
        draw_curves(tmp_path / 'curves.png', {'lr': ([0], [1])}, 'run')


@pytest.mark.parametrize('records', [[train(10, 3.0)], [train(10, 3.0), train(20, 2.0), val(1, 40.0), val(2, 50.0)]])
def test_available_curves_are_drawn_without_the_others(tmp_path, records):
    log(tmp_path, '20260101_000000', *records)
    draw_curves(tmp_path / 'curves.png', read_scalars(tmp_path, 10), 'run')
    assert min(Image.open(tmp_path / 'curves.png').size) > 300


def test_a_row_that_is_not_full_has_no_empty_axes(tmp_path):
    keys = ('loss_visual', 'accuracy/top1', 'distillation/agreement', 'distillation/cosine')
    line = np.array([0.0, 1.0])
    draw_curves(tmp_path / 'curves.png', {key: (line, line + 1) for key in keys}, 'run')
    pixels = np.asarray(Image.open(tmp_path / 'curves.png').convert('L'))
    height, width = pixels.shape
    assert (pixels[height // 2 + 20 : -60, width * 2 // 5 :] == 255).all()  # the second row holds one of three


def test_a_loss_term_of_weight_0_has_no_curve(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn, plot = [], Axes.plot
    monkeypatch.setattr(Axes, 'plot', lambda self, *args, **kw: drawn.append(kw['label']) or plot(self, *args, **kw))
    losses = dict(loss_visual=2.0, loss_textual=0.0, loss_queue=1.0, loss_cosine=0.5)
    log(tmp_path, '20260101_000000', {**train(10, 3.0), **losses}, {**train(20, 2.0), **losses})
    draw_curves(tmp_path / 'curves.png', read_scalars(tmp_path, 10), 'run')
    assert drawn == ['visual bank', 'queue', '1 - cosine']


def test_every_term_has_a_curve(tmp_path):
    terms = [dict(type='mmlgd.SimilarityTerm', on=on) for on in ('places', 'looks')]
    terms += [dict(type=f'mmlgd.{kind}Term', on=on) for kind in ('Cosine', 'Regression') for on in ('image', 'places')]
    terms += [dict(bank=bank, on=on) for bank in ('text', 'visual') for on in ('image', 'places')]
    terms += [dict(bank='queue'), dict(bank='place_queue', on='places'), dict(bank='text', name='my_loss')]
    names = [term.name for term in DistillationLoss(terms).terms]
    log(tmp_path, '20260101_000000', *({**train(step, 3.0), **dict.fromkeys(names, 1.0)} for step in (10, 20)))
    drawn = panels_of(read_scalars(tmp_path, 10))
    assert {key for _, _, lines in drawn for key, *_ in lines} == {*names}
    assert [title for title, *_ in drawn] == ['Distillation losses', 'Losses on places', 'my_loss']
    draw_curves(tmp_path / 'curves.png', read_scalars(tmp_path, 10), 'run')


@pytest.mark.parametrize(
    'line',
    [
        'null',
        '[1]',
        '"step"',
        '{"loss_visual": 1}',
        '{"step": "x", "loss_visual": 1}',
        '{"step": true}',
        '{"step": NaN}',
    ]
    + ['{"step": 10, "loss_visual": ' + '9' * 400 + '}', '{"step": 1e999}', '[' * 100_000, '\x00', '\udcff'],
    ids=range(12),
)
def test_a_foreign_line_is_left_out(tmp_path, line):
    log(tmp_path, '20260101_000000', train(10, 3.0))
    file = tmp_path / '20260101_000000/vis_data/scalars.json'
    file.write_bytes(line.encode(errors='surrogateescape') + b'\n' + file.read_bytes())
    assert listed(read_scalars(tmp_path, 10)['loss_visual']) == [[1.0], [3.0]]


@pytest.mark.parametrize('kind', ENDLESS)
def test_a_log_without_end_is_left_out(tmp_path, kind):
    log(tmp_path, '20260101_000000', train(10, 3.0))
    log(tmp_path, '20260102_000000', train(20, 2.0))
    file = tmp_path / '20260102_000000/vis_data/scalars.json'
    file.unlink()
    ENDLESS[kind](file)
    assert listed(read_scalars(tmp_path, 10)['loss_visual']) == [[1.0], [3.0]]


@pytest.mark.parametrize('record', [dict(step=1, lr=0.1), train(10, 3.0)])
def test_an_error_in_drawing_does_not_fail_a_finished_run(tmp_path, record):
    """One has no curves of distillation, of the other the drawing cannot be written."""
    log(tmp_path, '20260101_000000', record)
    (tmp_path / 'curves.png.part').mkdir()
    warnings = []
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        train_dataloader=range(10),
        experiment_name='run',
        logger=SimpleNamespace(warning=warnings.append),
    )
    CurvesHook().after_train(runner)
    (warning,) = warnings
    assert 'no curves are drawn. ' in warning


def test_curves_are_drawn_over_no_other_file(tmp_path):
    log(tmp_path, '20260101_000000', train(10, 3.0))
    (tmp_path / 'target').write_text('precious')
    (tmp_path / 'curves.png').symlink_to(tmp_path / 'target')
    draw_curves(tmp_path / 'curves.png', read_scalars(tmp_path, 10), 'run')
    assert (tmp_path / 'target').read_text() == 'precious' and Image.open(tmp_path / 'curves.png').size[0] > 300
