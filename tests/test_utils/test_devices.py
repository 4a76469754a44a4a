"""A device that cannot be used is refused before the work."""

import pytest
import torch

import mmlgd
from mmlgd.errors import ConfigError
from mmlgd.utils.devices import usable_device


def test_a_device_of_this_machine():
    assert usable_device('cpu') == usable_device(torch.device('cpu')) == torch.device('cpu')
    assert usable_device(None).type == mmlgd.utils.devices.get_device()


@pytest.mark.parametrize('device', ['cuda:999', 'gpu', 'meta'])
def test_another_is_refused_before_a_checkpoint_is_read(device):
    for call in (usable_device, lambda device: mmlgd.predict('no.pth', 'no.png', device=device)):
        with pytest.raises(ConfigError, match=f'device is {device!r}.*give cpu'):
            call(device)
