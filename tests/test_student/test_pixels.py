"""The settings of any library's preprocessor say the same as what it does."""

import pytest
import torch
from mmengine.registry import MODELS

from mmlgd.student.pixels import pixels_of

STATISTICS = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 4.0])


@pytest.mark.parametrize('key', ['to_rgb', 'bgr_to_rgb', 'rgb_to_bgr', None])
@pytest.mark.parametrize('statistics', [STATISTICS, {}])
def test_what_is_said_is_done(key, statistics):
    settings = dict(type='mmpretrain.SelfSupDataPreprocessor', **statistics, **({key: True} if key else {}))
    loaded = torch.tensor([50.0, 60.0, 70.0])  # blue first
    batch = dict(inputs=[loaded.view(1, 3, 1, 1)], data_samples=[])  # a list of views
    done = MODELS.build(dict(settings))(batch)['inputs'][0].flatten()
    order, mean, std = pixels_of(settings, 'a.pth')
    pixels = loaded.flip(0) if order == 'RGB' else loaded
    assert torch.equal(done, (pixels - torch.tensor(mean)) / torch.tensor(std))
