"""The factor of the teacher's terms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlgd.models.guided.weighing import MEMORY, Weighing

positive = st.floats(1e-3, 1e3)


@given(losses=st.lists(st.tuples(positive, positive), min_size=1, max_size=6), share=st.floats(0.01, 2))
def test_the_terms_are_a_share_of_the_averaged_loss(losses, share):
    weighing, own, terms = Weighing(share=share), 0, 0
    for one, other in losses:
        found = weighing(torch.tensor(one), torch.tensor(other, requires_grad=True))
        own, terms = MEMORY * own + one, MEMORY * terms + other
        assert found.item() == pytest.approx(share * own / terms, rel=1e-3) and not found.requires_grad


def test_a_broken_step_leaves_no_trace():
    weighing, whole = Weighing(), Weighing()
    for own, terms in ((2.0, 4.0), (math.nan, 4.0), (2.0, math.inf), (3.0, 4.0)):
        factor = weighing(torch.tensor(own), torch.tensor(terms))
    for own, terms in ((2.0, 4.0), (3.0, 4.0)):
        expected = whole(torch.tensor(own), torch.tensor(terms))
    assert torch.equal(factor, expected) and torch.equal(weighing.averages, whole.averages)


def test_a_first_step_unlike_all_others_is_soon_forgotten():
    weighing = Weighing('auto', share=0.2)
    factors = [weighing(torch.tensor(own), torch.tensor(1.0)).item() for own in [100.0] + [1.0] * 200]
    assert factors[0] == pytest.approx(20) and factors[50] < 0.5 and factors[200] < 0.21


def test_it_fades_over_the_last_part():
    weighing = Weighing(0.5, fade=0.25)
    for progress, expected in ((0.0, 0.5), (0.75, 0.5), (0.875, 0.25), (1.0, 0.0)):
        weighing.progress = progress
        assert weighing(torch.tensor(1.0), torch.tensor(1.0)).item() == pytest.approx(expected)


def test_a_loss_below_0_does_not_turn_the_terms_round():
    assert Weighing('auto', share=0.5)(torch.tensor(-4.0), torch.tensor(8.0)).item() == 0.25
