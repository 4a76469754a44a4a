import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

import mmlgd  # noqa: F401


@pytest.mark.parametrize('value', [HistoryBuffer([1.0], [1]), np.ones(2), np.float64(1)])
def test_torch_trusts_no_more_than_before(value, tmp_path):
    torch.save(dict(value=value), tmp_path / 'a.pth')
    with pytest.raises(Exception, match='Unsupported global'):
        torch.load(tmp_path / 'a.pth', weights_only=True)
    names = [str(one) for one in torch.serialization.get_safe_globals()]
    assert not [name for name in names if 'numpy' in name or 'mmengine' in name]
