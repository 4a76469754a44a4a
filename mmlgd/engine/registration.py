"""What mmengine and torch must be told of each other and of mmlgd."""

from importlib import import_module
from importlib.util import find_spec
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging.history_buffer import HistoryBuffer


def register_with_mmengine() -> None:
    """Make mmengine know the package ``mmlgd``, and torch trust what mmengine's checkpoints hold.

    Two registrations, both idempotent:

    - mmengine resolves ``'mmlgd::lgd/....py'`` (in ``_base_`` and :func:`mmengine.hub.get_config`) only for
      packages in its table of projects;
    - from torch 2.6 on, :func:`torch.load` refuses unknown classes. A training checkpoint holds mmengine's
      ``HistoryBuffer`` and in it numpy arrays and four of its own methods: exactly these are allow-listed, so that
      ``--resume`` works with ``weights_only`` switched on.

    Examples:
        >>> from mmengine.config.utils import MODULE2PACKAGE
        >>> import mmlgd
        >>> MODULE2PACKAGE['mmlgd']
        'mmlgd'
    """
    MODULE2PACKAGE['mmlgd'] = 'mmlgd'
    arrays = [np.ndarray, np.dtype, *(type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'int32'))]
    # numpy 2 moved its pickle helpers; files name either place.
    multiarray = import_module('numpy._core.multiarray' if find_spec('numpy._core') else 'numpy.core.multiarray')
    helpers = [
        (getattr(multiarray, name), f'{module}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for module in ('numpy.core', 'numpy._core')
    ]
    torch.serialization.add_safe_globals([HistoryBuffer, *arrays, *helpers, (_statistics_method, 'builtins.getattr')])


def _statistics_method(owner: type, name: str):
    """Stand in for ``getattr`` in a checkpoint: HistoryBuffer pickles its statistics by name, nothing else may."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current'):
        raise UnpicklingError(
            f'A checkpoint asks for {name!r} of {owner!r}; only HistoryBuffer statistics are allowed.'
        )
    return getattr(owner, name)
