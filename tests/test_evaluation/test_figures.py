"""The values of a model are measured for the classes that it names."""

import pytest
import torch
from torch import nn

from mmlgd.evaluation.figures import measure
from mmlgd.evaluation.frozen import Features, FrozenModel
from mmlgd.evaluation.splits import Split


@pytest.mark.parametrize(
    'classes, right', [(['c', 'a', 'b'], 100), (['a', 'b', 'c'], 0), (['x', 'y', 'z'], 0), (None, 0)]
)
def test_a_head_is_read_in_the_order_of_its_own_classes(classes, right, tmp_path):
    head = nn.Linear(3, 3, bias=False)
    head.weight.data = torch.eye(3)
    model = FrozenModel(nn.Identity(), head=head, head_classes=classes)
    labels = torch.arange(3)
    split = Split(None, tmp_path, ['1', '2', '3'], labels, ['a', 'b', 'c'])
    features = Features(torch.eye(3).roll(1, dims=1), None)  # an image of a has 1 in column 1, of b in 2, of c in 0
    result = measure(model, features, features, split, split, {}, 1, None, None)
    assert result['own_head'] == right
