"""Places by their most likely names: what is kept, and the loss over it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import BankRows, CrossEntropyTerm, DistillationLoss
from mmlgd.errors import ConfigError
from mmlgd.models import Embedded
from mmlgd.models.place_names import best_names, usable_places

from .test_dense import LATEST, NAMES, unit


@settings(max_examples=20)
@given(k=st.integers(1, 8), shape=st.tuples(*[st.integers(1, 3)] * 3), seed=st.integers(0, 10**6))
def test_with_few_names_the_loss_is_that_of_embeddings(k, shape, seed):
    s, t = (Embedded(unit(shape[0], 6, seed=seed + i), unit(*shape, 6, seed=seed + i)) for i in (0, 1))
    bank = unit(k, 6, seed=seed + 2)
    loss, banks = DistillationLoss([dict(NAMES, places=5)]), dict(text=BankRows(bank))
    named = Embedded(t.image, best_names(t.places, bank, loss.names_temperature()))
    losses = []
    for teacher in (t, named):
        torch.manual_seed(seed)
        losses.append(loss(s, teacher, banks)['loss_place_textual'])
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)


def test_of_many_names_the_most_likely_are_kept():
    places, bank = unit(2, 3, 3, 16), unit(50, 16, seed=1)
    names = best_names(places, bank, 0.1)
    assert names.shape == (2, 3, 3, 8, 2)
    expected = (places @ bank.T / 0.1).softmax(dim=-1)
    assert torch.equal(names[..., 0, 0].long(), expected.argmax(dim=-1))
    torch.testing.assert_close(names[..., 1], expected.sort(dim=-1, descending=True).values[..., :8])
    s = unit(2, 3, 3, 16, seed=2).flatten(0, 2).requires_grad_()
    index, p = names.flatten(0, 2)[..., 0].long(), names.flatten(0, 2)[..., 1]
    target = torch.zeros(18, 50).scatter(1, index, p / p.sum(dim=1, keepdim=True))
    term = CrossEntropyTerm('text', on='places', student_temperature=0.3)
    loss = term(s, names.flatten(0, 2), BankRows(bank))
    torch.testing.assert_close(loss, F.cross_entropy(s @ bank.T / 0.3, target))
    loss.backward()
    assert s.grad.abs().sum() > 0


OTHERS = [LATEST, dict(type='mmlgd.CosineTerm', on='places'), dict(type='mmlgd.SimilarityTerm')]


@pytest.mark.parametrize('term', [*OTHERS, dict(bank='text', on='places', self_logit=True)])
def test_a_term_that_needs_embeddings_is_refused_by_name(term):
    loss = DistillationLoss([NAMES, dict(term, name='loss_other')])
    with pytest.raises(ConfigError, match='Embeddings of places are needed for loss_other.*--places-form embeddings'):
        loss.names_temperature()
    bank = unit(3, 6)
    s, t = Embedded(unit(2, 6), unit(2, 2, 2, 6)), Embedded(unit(2, 6), best_names(unit(2, 2, 2, 6), bank, 0.1))
    with pytest.raises(ConfigError, match='loss_other needs embeddings of places, but the teacher comes with names'):
        loss(s, t, dict(text=BankRows(bank), place_queue=BankRows(bank)))


def test_names_have_one_temperature():
    with pytest.raises(ConfigError, match=r'have the teacher_temperature \[0.0125, 0.2\]'):
        DistillationLoss([NAMES, dict(NAMES, name='loss_b', teacher_temperature=0.2)]).names_temperature()
    with pytest.raises(ConfigError, match='No term compares places'):
        DistillationLoss([dict(bank='text')]).names_temperature()
    assert DistillationLoss([NAMES, dict(LATEST, weight=0.0)]).names_temperature() == 0.0125


def test_usable_places():
    places, names = unit(2, 1, 1, 6), best_names(unit(2, 1, 1, 6), unit(3, 6), 1.0)
    assert usable_places(places).all() and usable_places(names).all()
    for value in (0.0, float('nan')):
        for one in (places, names):
            one[1] = value
            assert usable_places(one).flatten().tolist() == [True, False]
