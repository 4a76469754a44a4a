"""A batch of images is stacked, or it is said why it cannot be."""

import pytest
import torch

from mmlgd.datasets import default_collate
from mmlgd.errors import ConfigError


def test_images_of_one_size_are_stacked():
    batch = default_collate([dict(inputs=torch.zeros(3, 4, 5)), dict(inputs=torch.ones(3, 4, 5))])
    assert batch['inputs'].shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    'batch, message',
    [
        (
            [dict(inputs=torch.zeros(3, 4, 5)), dict(inputs=torch.zeros(3, 6, 5))],
            r'\(3, 4, 5\) and \(3, 6, 5\).*--size',
        ),
        ([dict(img_path='a.jpg'), dict(img_path='b.jpg')], 'no pipeline that reads its images'),
    ],
)
def test_images_of_different_sizes_are_refused_with_a_hint(batch, message):
    with pytest.raises(ConfigError, match=message):
        default_collate(batch)
