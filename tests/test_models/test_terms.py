import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import BankRows, CosineTerm, CrossEntropyTerm, DistillationLoss, LGDLoss
from mmlgd.errors import ConfigError
from mmlgd.models import Term
from mmlgd.registry import MODELS

from .reference import lgd_losses, seed_loss


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=25)
@given(n=st.integers(1, 5), size=st.integers(1, 8), seed=st.integers(0, 10**6))
def test_one_term_over_a_queue_is_the_loss_of_seed(n, size, seed):
    s, t, queue = (unit(rows, 8, seed + i) for i, rows in enumerate((n, n, size)))
    term = CrossEntropyTerm('queue', student_temperature=0.05, teacher_temperature=0.01, self_logit=True)
    assert term(s, t, BankRows(queue)).item() == pytest.approx(seed_loss(s, t, queue, 0.05, 0.01), rel=1e-5, abs=1e-5)


TERMS = [
    dict(bank='visual', weight=0.3, student_temperature=0.1, teacher_temperature=0.05, self_logit=True),
    dict(bank='text', weight=0.7, student_temperature=0.1, teacher_temperature=0.05),
    dict(bank='queue', weight=2.0, student_temperature=0.1, teacher_temperature=0.02, self_logit=True),
]


def test_a_list_of_terms_is_the_preset_bit_by_bit():
    s, t = unit(4, 8, 0), unit(4, 8, 1)
    banks = {name: BankRows(unit(rows, 8, rows)) for name, rows in (('text', 5), ('visual', 5), ('queue', 7))}
    losses = MODELS.build(dict(type='mmlgd.DistillationLoss', terms=TERMS))(s, t, banks)
    preset = LGDLoss(0.1, 0.05, 0.3, queue_weight=2.0, queue_teacher_temperature=0.02)
    assert losses == preset(s, t, banks)
    assert list(losses) == ['loss_visual', 'loss_textual', 'loss_queue']
    rows = {name: bank.rows for name, bank in banks.items()}
    assert losses == preset(s, t, rows['text'], rows['visual'], queue=rows['queue'])  # as it was always called
    visual, textual = lgd_losses(s, t, rows['text'], rows['visual'], 0.1, 0.05, 0.3)
    assert losses['loss_visual'].item() == pytest.approx(visual, rel=1e-5)
    assert losses['loss_textual'].item() == pytest.approx(textual, rel=1e-5)


def test_one_bank_may_have_two_terms_of_different_names():
    s, t, bank = unit(4, 8, 0), unit(4, 8, 1), BankRows(unit(5, 8, 2))
    loss = DistillationLoss([CrossEntropyTerm('text'), CrossEntropyTerm('text', weight=0.5, name='loss_again')])
    losses = loss(s, t, dict(text=bank))
    assert losses['loss_again'].item() == pytest.approx(losses['loss_textual'].item() / 2)
    with pytest.raises(ConfigError, match='different names, got loss_textual, loss_textual'):
        DistillationLoss([dict(bank='text'), dict(bank='text')])


def test_a_term_alone_is_float32_under_autocast_and_trains_the_student_alone():
    s, t, bank = unit(4, 64, 0).requires_grad_(), unit(4, 64, 1).requires_grad_(), BankRows(unit(50, 64, 2))
    for term in (CrossEntropyTerm('visual', self_logit=True), CosineTerm()):
        expected = term(s, t, bank)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value = term(s, t, bank)
        assert value.dtype == torch.float32 and torch.equal(value, expected)
        value.backward()
        assert s.grad.abs().sum() > 0 and t.grad is None


def test_a_term_of_ones_own():
    class Squared(Term):
        def compare(self, s, t, bank):
            return (s - t).square().sum(-1).mean()

    s, t = unit(4, 8, 0), unit(4, 8, 1)
    losses = DistillationLoss([Squared('loss_squared', weight=0.5), CosineTerm()])(s, t)
    assert losses['loss_squared'].item() == pytest.approx(losses['loss_cosine'].item(), rel=1e-5)


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(bank='text', on='patches'), "on='image' or 'places', got on='patches'"),
        (dict(bank='text', places=9), 'has places=9: expected a number above 0, for a term on="places"'),
        (dict(bank='text', on='places', places=0), 'has places=0'),
        (dict(bank='queue', on='places'), "on='places' over the bank 'queue'"),
        (dict(bank='place_queue'), "on='image' over the bank 'place_queue'"),
        (dict(type='mmlgd.RegressionTerm', smooth_l1=1.5), r'in \[0, 1\], got 1.5'),
        (dict(type='mmlgd.SimilarityTerm', on='image'), "expected on='places' or 'looks', got on='image'"),
        (dict(type='mmlgd.SimilarityTerm', temperature=0.0), 'positive temperature, got 0'),
        (dict(type='mmlgd.SimilarityTerm', places=9), 'SimilarityTerm has no setting places'),
        (dict(bank='text', weight=-0.5), 'weight of at least 0, got -0.5'),
        (dict(bank='text', student_temperature=0.0), 'positive temperatures'),
        (dict(bank='text', teacher_temperature=-1.0), 'positive temperatures'),
        (dict(bank='text', mask_unvisited=True), 'no random rows'),
        (dict(bank='text', name='textual'), 'name with "loss" in it'),
        (dict(bank='text', temperature=0.1), 'CrossEntropyTerm has no setting temperature'),
        (dict(), "missing a required argument: 'bank'"),
        (dict(type='mmlgd.LGDLoss'), 'LGDLoss, which is not a loss term'),
        (dict(type='mmlgd.CosineTerm', bank='text'), 'CosineTerm has no setting bank'),
        ('text', r"terms\[0\] takes a dict of settings, got 'text'"),
    ],
)
def test_what_is_no_term_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        DistillationLoss([options])


def test_a_loss_without_terms_and_a_term_without_its_bank_are_refused():
    with pytest.raises(ConfigError, match='at least one term'):
        DistillationLoss([])
    with pytest.raises(ConfigError, match="loss_queue compares over the bank 'queue'"):
        DistillationLoss([dict(bank='queue')])(unit(2, 8, 0), unit(2, 8, 1), dict(text=BankRows(unit(3, 8, 2))))


def test_scores_of_names_have_the_temperatures_of_the_term_over_them():
    queue = dict(bank='queue', student_temperature=0.05, teacher_temperature=0.02)
    names = dict(bank='text', student_temperature=0.3, teacher_temperature=0.03)
    cosine = dict(type='mmlgd.CosineTerm')
    lists = [cosine], [cosine, queue], [cosine, queue, names]
    for terms, values in zip(lists, ((0.2, 0.01), (0.05, 0.02), (0.3, 0.03))):
        loss = DistillationLoss(terms)
        assert (loss.student_temperature, loss.teacher_temperature) == values
