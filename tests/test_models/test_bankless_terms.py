import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import CosineTerm, RegressionTerm, SimilarityTerm

from .reference import regression, similarity


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=25)
@given(n=st.integers(1, 5), d=st.integers(2, 12), share=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_regression_is_the_formula(n, d, share, seed):
    s, t = unit(n, d, seed=seed), unit(n, d, seed=seed + 1)
    term = RegressionTerm(smooth_l1=share, weight=0.5)
    assert term(s, t).item() == pytest.approx(0.5 * regression(s, t, share), rel=1e-4, abs=1e-6)
    assert term(t, t).item() == pytest.approx(0, abs=1e-6)


def test_close_to_the_target_both_parts_of_regression_are_equal_and_far_from_it_the_second_is_milder():
    t = unit(4, 64)
    near = F.normalize(t + 0.01 * unit(4, 64, seed=1), dim=-1)
    far = F.normalize(t.roll(1, 0), dim=-1)
    angle, value = RegressionTerm(smooth_l1=0.0), RegressionTerm(smooth_l1=1.0)
    assert angle(near, t).item() == pytest.approx(value(near, t).item(), rel=1e-2)
    assert value(far, t) < angle(far, t)
    assert torch.equal(angle(far, t), CosineTerm()(far, t))


@settings(max_examples=15)
@given(
    n=st.integers(1, 3),
    m=st.integers(1, 6),
    d=st.integers(2, 8),
    tau=st.floats(0.03, 1),
    seed=st.integers(0, 10**6),
)
def test_similarity_is_the_formula(n, m, d, tau, seed):
    s, t = unit(n, m, d, seed=seed), unit(n, m, d, seed=seed + 1)
    term = SimilarityTerm(temperature=tau)
    assert term(s, t).item() == pytest.approx(similarity(s, t, tau), rel=1e-4, abs=1e-5)
    rotation = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)))[0]
    assert term(t @ rotation, t).item() == pytest.approx(0, abs=1e-4)  # the student may have any basis


@pytest.mark.parametrize('term', [RegressionTerm(), SimilarityTerm()], ids=['regression', 'similarity'])
def test_they_are_float32_under_autocast_and_train_the_student_alone(term):
    s, t = unit(2, 6, 64).requires_grad_(), unit(2, 6, 64, seed=1).requires_grad_()
    expected = term(s, t)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = term(s, t)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    value.backward()
    assert s.grad.abs().sum() > 0 and t.grad is None


def test_their_names_in_the_log_do_not_clash():
    terms = [CosineTerm(), CosineTerm('places'), RegressionTerm(), RegressionTerm('places'), SimilarityTerm()]
    assert [term.name for term in terms] == [
        'loss_cosine',
        'loss_place_cosine',
        'loss_regression',
        'loss_place_regression',
        'loss_place_similarity',
    ]
    assert repr(terms[3]) == 'RegressionTerm(loss_place_regression: on=1024 places, weight=1, smooth_l1=0.1)'
    assert repr(terms[4]) == 'SimilarityTerm(loss_place_similarity: on=places, weight=1, τ=0.07)'
