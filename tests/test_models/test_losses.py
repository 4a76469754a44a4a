import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import LGDLoss

from .reference import lgd_losses


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 5), k=st.integers(1, 6), d=st.integers(2, 16), seed=st.integers(0, 10**6))
def test_defaults_are_the_published_step(n, k, d, seed):
    s, t, tsb, vsb = (unit(rows, d, seed + i) for i, rows in enumerate((n, n, k, k)))
    losses = LGDLoss()(s, t, tsb, vsb)
    visual, textual = lgd_losses(s, t, tsb, vsb)
    assert losses['loss_visual'].item() == pytest.approx(visual, rel=1e-5, abs=1e-5)
    assert losses['loss_textual'].item() == pytest.approx(textual, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize('alpha', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('self_logit', [True, False])
def test_alpha_and_self_logit(alpha, self_logit):
    s, t, tsb, vsb = unit(4, 8, 0), unit(4, 8, 1), unit(5, 8, 2), unit(5, 8, 3)
    losses = LGDLoss(0.1, 0.05, alpha, self_logit)(s, t, tsb, vsb)
    visual, textual = lgd_losses(s, t, tsb, vsb, 0.1, 0.05, alpha, self_logit)
    assert losses['loss_visual'].item() == pytest.approx(visual, rel=1e-5, abs=1e-6)
    assert losses['loss_textual'].item() == pytest.approx(textual, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize('self_logit', [True, False])
def test_unvisited_rows_are_left_out(self_logit):
    s, t, tsb, vsb = unit(4, 8, 0), unit(4, 8, 1), unit(5, 8, 2), unit(5, 8, 3)
    visited = torch.tensor([True, False, True, True, False])
    loss = LGDLoss(self_logit=self_logit, mask_unvisited=True)
    losses = loss(s, t, tsb, vsb, visited)
    visual, _ = lgd_losses(s, t, tsb, vsb, self_logit=self_logit, rows=[0, 2, 3])
    assert losses['loss_visual'].item() == pytest.approx(visual, rel=1e-5)
    vsb[~visited] = 100.0  # whatever stands there
    assert torch.equal(loss(s, t, tsb, vsb, visited)['loss_visual'], losses['loss_visual'])


def test_no_visited_row_means_no_visual_part():
    s = unit(4, 8, 0).requires_grad_()
    loss = LGDLoss(mask_unvisited=True, self_logit=False)
    visual = loss(s, unit(4, 8, 1), unit(5, 8, 2), unit(5, 8, 3), torch.zeros(5, dtype=torch.bool))['loss_visual']
    visual.backward()
    assert visual.item() == 0 and s.grad.abs().max() == 0


def test_gradient_reaches_the_student_alone():
    s, t, tsb, vsb = (unit(3, 8, i).requires_grad_() for i in range(4))
    sum(LGDLoss()(s, t, tsb, vsb).values()).backward()
    assert s.grad.abs().sum() > 0
    assert t.grad is None


def test_a_student_equal_to_the_teacher_at_one_temperature_has_no_gradient_along_the_logits():
    t, tsb = unit(3, 8, 0), unit(5, 8, 1)
    s = t.clone().requires_grad_()
    LGDLoss(0.1, 0.1, alpha=0.0)(s, t, tsb, tsb)['loss_textual'].backward()
    torch.testing.assert_close(s.grad, torch.zeros_like(s), atol=1e-6, rtol=0)


def test_float32_under_autocast():
    s, t, tsb, vsb = unit(4, 64, 0), unit(4, 64, 1), unit(50, 64, 2), unit(50, 64, 3)
    expected = LGDLoss()(s, t, tsb, vsb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = LGDLoss()(s, t, tsb, vsb)
    for key, value in losses.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize(
    'options', [dict(student_temperature=0.0), dict(teacher_temperature=-1.0), dict(alpha=1.5), dict(alpha=-0.1)]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r'Expected (positive|alpha)'):
        LGDLoss(**options)


def test_dimensions_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'student \(2, 8\).*visual bank \(5, 7\)'):
        LGDLoss()(unit(2, 8, 0), unit(2, 8, 1), unit(5, 8, 2), unit(5, 7, 3))
    with pytest.raises(ValueError, match='visited'):
        LGDLoss(mask_unvisited=True)(unit(2, 8, 0), unit(2, 8, 1), unit(5, 8, 2), unit(5, 8, 3))
