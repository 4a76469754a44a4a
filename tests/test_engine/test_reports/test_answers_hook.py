"""The names that student and teacher give to training images, by a slow count beside them."""

import logging
import math
from collections import Counter
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub

from mmlgd.engine import AnswersHook
from mmlgd.engine.reports.answers_hook import count_answers, summarise
from mmlgd.registry import MODELS


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def model(s, t, names, student_temperature=0.2, teacher_temperature=0.05):
    loss = SimpleNamespace(student_temperature=student_temperature, teacher_temperature=teacher_temperature)
    bank = SimpleNamespace(bank=names)
    class_names = [f'name {k}' for k in range(len(names))]
    return SimpleNamespace(compared=(s, t), textual_bank=bank, criterion=loss, class_names=class_names, queue=None)


def test_the_figures_are_those_of_a_slow_count():
    s, t, names = unit(12, 8, seed=0), unit(12, 8, seed=1), unit(5, 8, seed=2)
    mine, its = (s @ names.T).argmax(dim=1).tolist(), (t @ names.T).argmax(dim=1).tolist()
    excess = 0
    for one, other in zip(s, t):
        q, p = (one @ names.T / 0.2).softmax(0).tolist(), (other @ names.T / 0.05).softmax(0).tolist()
        excess += sum(a * math.log(a / b) for a, b in zip(p, q)) / 12

    def effective(answers):
        return math.exp(-sum(n / 12 * math.log(n / 12) for n in Counter(answers).values()))

    figures = summarise(count_answers(model(s, t, names)).double())
    assert figures['agreement'] == pytest.approx(100 * sum(a == b for a, b in zip(mine, its)) / 12)
    assert figures['effective_classes'] == pytest.approx(effective(mine))
    assert figures['teacher_effective_classes'] == pytest.approx(effective(its))
    assert figures['names_excess'] == pytest.approx(excess, rel=1e-5)


def test_the_excess_is_the_loss_over_names_above_the_entropy_of_the_teacher(lgd_config):
    built = MODELS.build({**lgd_config, 'loss': dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text')])})
    loss = built.loss(torch.randn(3, 3, 64, 64))['loss_textual'].item()
    _, t = built.compared
    p = (t @ built.textual_bank.bank.T / 0.01).softmax(dim=-1)
    excess = summarise(count_answers(built).double())['names_excess']
    assert excess == pytest.approx(loss - torch.special.entr(p).sum(-1).mean().item(), abs=1e-4)


def test_a_student_like_its_teacher_has_no_excess_even_where_answers_are_sure():
    t = torch.eye(4)
    figures = summarise(count_answers(model(t, t, t, 0.001, 0.001)).double())
    assert figures == dict(agreement=100, effective_classes=4, teacher_effective_classes=4, names_excess=0)


def run(batches, max_iters, interval=1, epochs=1, names=None, queue=None):
    """Let the hook see batches of (student, teacher), as if in `epochs` equal epochs."""
    hook, per_epoch = AnswersHook(), len(batches) // epochs
    lgd = model(*batches[0], torch.eye(4) if names is None else names)
    lgd.queue = queue
    one = SimpleNamespace(
        model=lgd,
        hooks=[LoggerHook(interval=interval), hook],
        message_hub=MessageHub.get_instance(f'answers_{id(lgd)}'),
        logger=Mock(),
        train_dataloader=range(per_epoch),
        max_iters=max_iters,
        iter=0,
    )
    hook.before_train(one)
    for k, batch in enumerate(batches):
        one.model.compared, one.iter = batch, k
        hook.after_train_iter(one, k % per_epoch)
        if (k + 1) % per_epoch == 0:
            hook.after_train_epoch(one)
    return one


EVERY = torch.eye(4)  # one image of each of four names
SAME = EVERY[[0, 0, 0, 0]]


def test_a_line_of_the_log_covers_the_steps_since_the_last_one():
    one = run([(EVERY, EVERY), (SAME, EVERY), (SAME, EVERY)], max_iters=3, interval=2)
    agreement = one.message_hub.get_scalar('train/agreement').data[0].tolist()
    assert agreement == [pytest.approx(62.5), 25]  # of two steps, then of the last


def test_a_collapsed_student_is_warned_of_once_from_half_of_the_training_on():
    one = run([(SAME, EVERY)] * 4, max_iters=4, epochs=4)
    (((level, text), _),) = one.logger.log.call_args_list
    assert level == logging.WARNING
    assert "collapsed onto few names: its answer is 'name 0' for 100 % of the images" in text
    assert 'teacher for 25 %' in text and '--epochs' in text and '--recipe small-data' in text
    assert one.message_hub.get_info('answers') == text
    small_data = run([(SAME, EVERY)] * 4, max_iters=4, epochs=4, queue=object())  # it has this recipe already
    assert '--recipe' not in small_data.message_hub.get_info('answers')


def test_a_student_that_follows_its_teacher_is_not_warned_of():
    one = run([(EVERY, EVERY)] * 2, max_iters=2)
    one.logger.log.assert_not_called()
    assert one.message_hub.get_info('answers').endswith(
        'agrees with its teacher on 100.0 %, and uses 4.0 of 4 names where the teacher uses 4.0 (effective numbers).'
    )
    few = run([(SAME, SAME)] * 2, max_iters=2)  # nor one whose teacher has a single answer: the summary says it
    few.logger.log.assert_not_called()
    assert 'The teacher gives nearly always the same answer' in few.message_hub.get_info('answers')


def test_a_student_that_has_not_learnt_yet_is_not_warned_of():
    one = run([(SAME, EVERY)] + [(EVERY, EVERY)] * 3, max_iters=4, epochs=4)
    one.logger.log.assert_not_called()
