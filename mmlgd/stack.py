"""What mmlgd asks of the OpenMMLab stack it is imported into: its versions, and two small registrations."""

from importlib import import_module
from importlib.util import find_spec

from packaging.version import Version

# Lower bound (included) and upper bound (excluded). One range for both stacks: upstream is tested at mmengine
# 0.10.7, mmcv 2.1.0, mmpretrain 1.2.0; the onedl fork, which keeps the import names, at 0.10.12, 2.3.6, 1.3.6.
# mmdet and mmsegmentation are optional and check themselves when they are imported.
RANGES = {
    'mmengine': ('0.10.7', '0.11'),
    'mmcv': ('2.1.0', '2.4'),
    'mmpretrain': ('1.2.0', '1.4'),
}

_FIX = (
    'Install a stack that mmlgd is tested with: `pip install "mmlgd[openmmlab]"` (upstream OpenMMLab) or '
    '`pip install "mmlgd[onedl]"` (the maintained fork), into an environment that holds only one of the two.'
)


def check_stack() -> None:
    """Refuse a stack that mmlgd is not tested with, and say what to install instead.

    Raises:
        ImportError: A package is missing or outside its range in :data:`RANGES`; the message names the package,
            the version found, the range and the command that mends it.

    Examples:
        >>> from mmlgd.stack import check_stack
        >>> check_stack()
    """
    for module, (lowest, limit) in RANGES.items():
        wanted = f'mmlgd needs {module}>={lowest},<{limit}'
        if find_spec(module) is None:
            raise ImportError(f'{wanted}, which is not installed. {_FIX}')
        try:
            found = import_module(module).__version__
        except AssertionError as error:  # OpenMMLab packages assert the versions of those below them
            raise ImportError(f'{wanted}, and the one installed does not accept its stack: {error}. {_FIX}') from error
        if not Version(lowest) <= Version(found) < Version(limit):
            raise ImportError(f'{wanted}, but {module} {found} is installed. {_FIX}')


def register_with_mmengine() -> None:
    """Make mmengine know the package ``mmlgd`` and trust what its own checkpoints hold.

    Two registrations, both idempotent:

    - mmengine resolves ``'mmlgd::lgd/....py'`` (in ``_base_`` and :func:`mmengine.hub.get_config`) only for
      packages in its table of projects;
    - from torch 2.6 on, :func:`torch.load` refuses unknown classes. The message hub in a training checkpoint
      holds mmengine's ``HistoryBuffer`` and, in it, plain numpy arrays: exactly these are allow-listed, so that
      ``--resume`` works with ``weights_only`` switched on.

    Examples:
        >>> from mmengine.config.utils import MODULE2PACKAGE
        >>> import mmlgd
        >>> MODULE2PACKAGE['mmlgd']
        'mmlgd'
    """
    import numpy as np
    import torch
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.logging.history_buffer import HistoryBuffer

    MODULE2PACKAGE['mmlgd'] = 'mmlgd'
    multiarray = np.core.multiarray if np.lib.NumpyVersion(np.__version__) < '2.0.0' else np._core.multiarray
    arrays = [multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype]
    dtypes = [type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'int32', 'bool')]
    torch.serialization.add_safe_globals([HistoryBuffer, *arrays, *dtypes])
