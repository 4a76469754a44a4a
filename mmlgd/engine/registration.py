"""What mmengine and torch must be told of each other and of mmlgd."""

from importlib import import_module
from importlib.util import find_spec
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from .checkpoint_loaders import register_checkpoint_loaders

# What mmengine's own checkpoints refer to by name: the statistics of a log, and the curve of a one-cycle schedule.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'mean', 'current'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def register_with_mmengine() -> None:
    """Make mmengine know the package ``mmlgd``, and torch trust what mmengine's checkpoints hold.

    Three registrations, all idempotent:

    - mmengine resolves ``'mmlgd::lgd/....py'`` (in ``_base_`` and :func:`mmengine.hub.get_config`) only for
      packages in its table of projects;
    - from torch 2.6 on, :func:`torch.load` refuses unknown classes. A training checkpoint holds mmengine's
      ``HistoryBuffer`` and in it numpy arrays, and refers to a few methods of it and of a one-cycle schedule by name:
      exactly these are allow-listed, so that ``--resume`` works with ``weights_only`` switched on;
    - mmengine's loaders of checkpoints give way to ours, which execute nothing on either stack and compare downloads
      with their hash.

    Examples:
        >>> from mmengine.config.utils import MODULE2PACKAGE
        >>> import mmlgd
        >>> MODULE2PACKAGE['mmlgd']
        'mmlgd'
    """
    MODULE2PACKAGE['mmlgd'] = 'mmlgd'
    register_checkpoint_loaders()
    kinds = ('float64', 'float32', 'float16', 'int64', 'int32', 'uint32', 'uint8', 'bool')
    classes = [*_METHODS, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
    # By name: the fork's loader allows some of these classes for itself, and when it is done takes them from the list.
    named = [(cls, f'{cls.__module__}.{cls.__name__}') for cls in classes]
    # numpy 2 moved its pickle helpers; files name either place.
    multiarray = import_module('numpy._core.multiarray' if find_spec('numpy._core') else 'numpy.core.multiarray')
    helpers = [
        (getattr(multiarray, name), f'{module}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for module in ('numpy.core', 'numpy._core')
    ]
    torch.serialization.add_safe_globals([*named, *helpers, (_named_method, 'builtins.getattr')])


def _named_method(owner: type, name: str):
    """Stand in for ``getattr`` in a checkpoint: the methods of :data:`_METHODS`, and nothing else."""
    if not isinstance(owner, type) or name not in _METHODS.get(owner, ()):
        raise UnpicklingError(f'A checkpoint asks for {name!r} of {owner!r}, which none of mmengine needs.')
    return getattr(owner, name)
