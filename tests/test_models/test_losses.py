import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mmlgd import CosineLoss, LGDLoss

from .reference import lgd_losses, seed_loss


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=25)
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


@settings(max_examples=25)
@given(n=st.integers(1, 5), size=st.integers(1, 8), seed=st.integers(0, 10**6))
def test_over_a_queue_it_is_the_loss_of_seed(n, size, seed):
    s, t, tsb, queue = (unit(rows, 8, seed + i) for i, rows in enumerate((n, n, 3, size)))
    losses = LGDLoss(0.05, 0.01, alpha=1.0)(s, t, tsb, queue)
    expected = seed_loss(s, t, queue, 0.05, 0.01)
    assert losses['loss_visual'].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert losses['loss_textual'].item() == 0


def test_a_queue_as_third_bank_adds_a_part_and_changes_no_other():
    s, t, tsb, vsb, queue = (unit(rows, 8, i) for i, rows in enumerate((4, 4, 5, 5, 7)))
    loss = LGDLoss(0.1, 0.04, queue_weight=0.3)
    losses, without = loss(s, t, tsb, vsb, queue=queue), loss(s, t, tsb, vsb)
    assert losses.pop('loss_queue').item() == pytest.approx(0.3 * seed_loss(s, t, queue, 0.1, 0.04), rel=1e-5)
    assert losses == without


def test_the_part_over_the_queue_may_have_a_temperature_of_its_own():
    s, t, tsb, vsb, queue = (unit(rows, 8, i) for i, rows in enumerate((4, 4, 5, 5, 7)))
    losses = LGDLoss(0.05, 0.04, queue_teacher_temperature=0.01)(s, t, tsb, vsb, queue=queue)
    assert losses.pop('loss_queue').item() == pytest.approx(seed_loss(s, t, queue, 0.05, 0.01), rel=1e-5)
    assert losses == LGDLoss(0.05, 0.04)(s, t, tsb, vsb)


def test_rows_of_a_queue_that_no_image_has_filled_are_left_out():
    s, t, tsb, vsb, queue = (unit(rows, 8, i) for i, rows in enumerate((4, 4, 5, 5, 7)))
    filled = torch.arange(7) < 3
    loss, everything = LGDLoss(mask_unvisited=True), torch.ones(5, dtype=torch.bool)
    part = loss(s, t, tsb, vsb, everything, queue, filled)['loss_queue']
    assert part.item() == pytest.approx(seed_loss(s, t, queue[:3], 0.2, 0.01), rel=1e-5)
    with pytest.raises(ValueError, match='visited'):
        loss(s, t, tsb, vsb, everything, queue)


class Products(TorchDispatchMode):
    """Sizes of the banks that something is multiplied with."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.mm.default:
            self.rows.append(args[1].shape[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    'alpha, banks', [(0.0, {5}), (0.5, {5, 6}), (1.0, {6})], ids=['class names alone', 'both', 'visual bank alone']
)
def test_a_part_without_weight_is_not_computed(alpha, banks):
    s, t, tsb, vsb = (unit(rows, 8, i) for i, rows in enumerate((4, 4, 5, 6)))
    loss = LGDLoss(alpha=alpha)
    with Products() as products:
        losses = loss(s, t, tsb, vsb)
    assert set(products.rows) == banks
    assert set(losses) == {'loss_visual', 'loss_textual'}
    assert loss.reads == {'queue'} | {name for name, rows in (('text', 5), ('visual', 6)) if rows in banks}


def test_cosine_regression():
    s, t = unit(4, 8, 0).requires_grad_(), unit(4, 8, 1).requires_grad_()
    losses = CosineLoss()(s, t)
    (value,) = losses.values()
    assert value.item() == pytest.approx(((s - t) ** 2).sum(1).mean().item() / 2, rel=1e-5)
    value.backward()
    assert s.grad.abs().sum() > 0 and t.grad is None
    with pytest.raises(ValueError, match=r'same shape.*student \(4, 8\), teacher \(4, 7\)'):
        CosineLoss()(s, unit(4, 7, 1))


@pytest.mark.parametrize(
    'options',
    [
        dict(student_temperature=0.0),
        dict(teacher_temperature=-1.0),
        dict(alpha=1.5),
        dict(alpha=-0.1),
        dict(queue_weight=-0.1),
        dict(queue_teacher_temperature=0.0),
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r'Expected (positive|alpha|a queue_weight)'):
        LGDLoss(**options)


def test_dimensions_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'student \(2, 8\).*visual bank \(5, 7\)'):
        LGDLoss()(unit(2, 8, 0), unit(2, 8, 1), unit(5, 8, 2), unit(5, 7, 3))
    with pytest.raises(ValueError, match=r'queue bank \(9, 7\)'):
        LGDLoss()(unit(2, 8, 0), unit(2, 8, 1), unit(5, 8, 2), unit(5, 8, 3), queue=unit(9, 7, 4))
    with pytest.raises(ValueError, match='visited'):
        LGDLoss(mask_unvisited=True)(unit(2, 8, 0), unit(2, 8, 1), unit(5, 8, 2), unit(5, 8, 3))
