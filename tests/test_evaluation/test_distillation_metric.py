"""The metric against counting by hand, with and without labels, and from a run of the whole."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from mmlgd import DistillationMetric
from mmlgd.evaluation.distillation_metric import effective_classes
from mmlgd.registry import MODELS


def sample(student, teacher, bank, label=None):
    def scored(embedding):
        score = bank @ embedding
        one = DataSample().set_pred_score(score).set_pred_label(score.argmax())
        one.embedding = embedding
        return one

    whole = scored(student)
    whole.teacher = scored(teacher)
    return whole if label is None else whole.set_gt_label(label)


def evaluate(samples, **options):
    evaluator = Evaluator([DistillationMetric(**options)])
    for one in samples:  # an image a batch
        evaluator.process([one])
    return evaluator.evaluate(len(samples))


def embeddings(n=12, d=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [F.normalize(torch.randn(n, d, generator=generator), dim=-1) for _ in range(2)]


def test_by_hand():
    bank = torch.eye(3)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]])
    teacher = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    metrics = evaluate([sample(s, t, bank) for s, t in zip(rows, teacher)])
    assert metrics['distillation/agreement'] == pytest.approx(75)  # the second differs
    assert metrics['distillation/cosine'] == pytest.approx((1 + 0 + 0.8 + 1) / 4)
    # Student: classes 0, 1, 1, 2. Teacher: 0, 0, 1, 2.
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert metrics['distillation/effective_classes'] == pytest.approx(math.exp(entropy))
    assert metrics['distillation/teacher_effective_classes'] == pytest.approx(math.exp(entropy))
    assert 'distillation/leave_one_out_knn' not in metrics  # no labels


def test_without_a_teacher_the_figures_of_the_student_stay():
    student, teacher = embeddings()
    whole = [sample(s, t, torch.eye(6), label=k % 2) for k, (s, t) in enumerate(zip(student, teacher))]
    alone = [sample(s, t, torch.eye(6), label=k % 2) for k, (s, t) in enumerate(zip(student, teacher))]
    for one in alone:
        del one.teacher
    told, left = evaluate(whole), evaluate(alone, teacher=False)
    assert set(left) == {'distillation/effective_classes', 'distillation/leave_one_out_knn'}
    assert all(told[key] == value for key, value in left.items())


def test_a_student_that_is_its_teacher():
    _, teacher = embeddings()
    metrics = evaluate([sample(t, t, torch.eye(6)) for t in teacher])
    assert metrics['distillation/agreement'] == 100
    assert metrics['distillation/cosine'] == pytest.approx(1)
    assert metrics['distillation/effective_classes'] == metrics['distillation/teacher_effective_classes']


def test_neighbours_where_there_are_labels():
    student, teacher = embeddings()
    labelled = [sample(s, t, torch.eye(6), label=i % 2) for i, (s, t) in enumerate(zip(student, teacher))]
    assert 0 <= evaluate(labelled, k=3)['distillation/leave_one_out_knn'] <= 100
    assert 'distillation/leave_one_out_knn' not in evaluate(labelled, k=0)
    two = [sample(student[0], teacher[0], torch.eye(6), label=1)] * 2
    assert evaluate(two)['distillation/leave_one_out_knn'] == 100  # of fewer than k others all
    assert 'distillation/leave_one_out_knn' not in evaluate(two[:1])  # there is no other


def test_without_a_teacher_the_reason_is_said():
    one = sample(torch.ones(2), torch.ones(2), torch.eye(2))
    del one.teacher
    with pytest.raises(ValueError, match='predict_teacher=True'):
        evaluate([one])


@pytest.mark.parametrize('options', [dict(k=-1), dict(temperature=0)])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match='k >= 0 and a positive temperature'):
        DistillationMetric(**options)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_effective_classes_lie_between_one_and_those_that_occur(labels):
    effective = effective_classes(torch.tensor(labels), num_classes=10)
    assert 1 - 1e-9 <= effective <= len(set(labels)) + 1e-9
    assert effective_classes(torch.tensor(labels * 3), num_classes=10) == pytest.approx(effective)


def test_on_what_a_model_predicts(lgd_config):
    torch.manual_seed(0)
    model = MODELS.build(lgd_config).eval()
    x = torch.randn(6, 3, 64, 64)
    metric = DistillationMetric()
    metric.process(None, [one.to_dict() for one in model.predict(x)])
    metrics = metric.evaluate(6)
    s, t = model.embed(x).detach(), model.teacher.encode_image(x)
    bank = model.textual_bank.bank
    same = ((s @ bank.T).argmax(1) == (t @ bank.T).argmax(1)).float().mean().item()
    assert metrics['distillation/agreement'] == pytest.approx(100 * same)
    assert metrics['distillation/cosine'] == pytest.approx((s * t).sum(1).mean().item(), abs=1e-5)
