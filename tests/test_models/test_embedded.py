"""Places on padding are in no draw and in no comparison of all places."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import DistillationLoss
from mmlgd.models import Embedded
from mmlgd.models.embedded import inside

from .reference import similarity

shares = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1))


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@given(extents=st.lists(shares, min_size=1, max_size=3), h=st.integers(1, 6), w=st.integers(1, 6))
def test_a_place_is_on_the_image_where_its_middle_is(extents, h, w):
    there = Embedded(torch.zeros(len(extents), 2), torch.zeros(len(extents), h, w, 2), extents=tuple(extents))
    for image, (tall, wide) in zip(there.places_on_images(), extents):
        for y in range(h):
            for x in range(w):
                on_image = (y + 0.5) / h < tall and (x + 0.5) / w < wide
                assert image[y, x] == on_image or not on_image and (tall * h <= 0.5 or wide * w <= 0.5)


@settings(max_examples=30)
@given(extents=st.lists(shares, min_size=2, max_size=2), count=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_draw_takes_each_place_of_an_image_once(extents, count, seed):
    torch.manual_seed(seed)
    t = Embedded(torch.zeros(2, 2), torch.zeros(2, 4, 4, 2), extents=tuple(extents))
    there = t.places_on_images().flatten().nonzero()[:, 0].tolist()
    rows = t.draw(count).rows.tolist()
    assert len(rows) == len(set(rows)) == min(count, len(there)) and set(rows) <= set(there)


def test_weights_are_chances():
    t = Embedded(torch.zeros(1, 2), torch.zeros(1, 2, 2, 2))
    rows = t.draw(4000, torch.tensor([[[0.0, 1.0], [3.0, 0.0]]])).rows
    assert rows.bincount(minlength=4).tolist()[0::3] == [0, 0]
    assert (rows == 2).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_all_places_are_those_of_each_image():
    extents = ((1.0, 0.5), (0.75, 1.0))
    s, t = unit(2, 4, 4, 6), unit(2, 4, 4, 6, seed=1)
    loss = DistillationLoss([dict(type='mmlgd.SimilarityTerm')])
    pair = Embedded(unit(2, 6), s), Embedded(unit(2, 6), t, extents=extents)
    each = [
        similarity(*(x[k : k + 1, :h, :w].flatten(1, 2) for x in (s, t)))
        for k, (h, w) in enumerate(inside(extents, (4, 4)))
    ]
    assert loss(*pair)['loss_place_similarity'].item() == pytest.approx(sum(each) / 2, rel=1e-4)
