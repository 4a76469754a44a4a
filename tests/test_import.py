"""What `import mmlgd` leaves as it is."""

import subprocess
import sys
from textwrap import dedent

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


def test_nothing_of_mmengine_is_replaced_and_nothing_is_printed():
    """By all rooms, which need neither mmdetection nor mmsegmentation."""
    code = """
        import sys
        sys.modules['mmdet'] = sys.modules['mmseg'] = None
        import mmengine.registry as registry
        from mmengine.registry import Registry
        from mmengine.runner import CheckpointLoader
        from mmengine.fileio import backends

        nodes = [node for node in vars(registry).values() if isinstance(node, Registry)]
        before = dict(CheckpointLoader._schemes), [dict(node.module_dict) for node in nodes], dict(backends.backends)
        import mmlgd
        for room in mmlgd._ROOMS:
            getattr(mmlgd, room)
        import mmlgd.run.downstream, mmlgd.run.labelled, mmlgd.run.train_options
        after = dict(CheckpointLoader._schemes), [dict(node.module_dict) for node in nodes], dict(backends.backends)
        assert before[0] == after[0]
        assert all(one.items() <= other.items() for one, other in zip(before[1], after[1]))
        assert not [part for node in nodes for part in node.module_dict.values() if part.__module__[:5] == 'mmlgd']
        assert all(after[2][key] is value for key, value in before[2].items())  # one is added
        mmlgd.safe_loading()
        assert CheckpointLoader._schemes != before[0]
    """
    run = subprocess.run([sys.executable, '-c', dedent(code)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not [line for line in run.stdout.splitlines() if 'OneDL' not in line]  # which the fork prints


def test_the_import_alone_loads_neither_torch_nor_the_stack():
    code = 'import sys, mmlgd; print(sorted({"mmpretrain", "mmcv", "open_clip", "mmlgd.models"} & set(sys.modules)))'
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == '[]'
