"""mmlgd's registry nodes: children of mmengine's root, so siblings of mmpretrain's, mmdet's and mmseg's.

As children of mmpretrain's nodes, ``type='mmlgd.LGD'`` would be a KeyError from mmdet's scope.
"""

from typing import Optional

import mmengine.registry as root
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry

from .stack import check_stack

# mmengine finds `_base_ = 'mmlgd::...'` only for the packages in this table.
MODULE2PACKAGE['mmlgd'] = 'mmlgd'


class _Node(Registry):
    """A node that imports its parts at the first lookup, after a check of the installed stack's versions."""

    def __init__(self, parent: Registry, *rooms: str) -> None:
        super().__init__(parent.name, parent=parent, scope='mmlgd', locations=[f'mmlgd.{room}' for room in rooms])

    def import_from_location(self) -> None:
        """Report a stack outside of the tested ranges before its import errors appear."""
        check_stack()
        super().import_from_location()

    def get(self, key: str) -> Optional[type]:
        """Find a part of the library that the run's ``default_scope`` names, or else of mmlgd.

        With ``_base_ = 'mmlgd::...'``, mmengine builds every part of the config in the scope mmlgd, but our configs
        name parts of mmdet, mmseg and mmpretrain, too. They are looked up as if the config were read from its path;
        our own parts have their scope in front there (``mmlgd.LGD``).

        Args:
            key (str): Name of a class, with or without a scope.

        Returns:
            type, optional: The class, or None.
        """
        library = _library_of_run()
        if library and '.' not in key and (found := self.parent.get(f'{library}.{key}')):
            return found
        return super().get(key)


def _library_of_run() -> Optional[str]:
    """Name the scope under ours, which mmengine pushes on top while it builds a part of our configs.

    In any other scope, whoever asks our node means us: mmengine has taken ``mmlgd.`` off the name.
    """
    *others, latest = [scope.scope_name for scope in DefaultScope._instance_dict.values()] or [None]
    is_ours = latest == 'mmlgd'
    return next((scope for scope in reversed(others) if is_ours and scope not in ('mmlgd', 'mmengine')), None)


def find_class(kind: str, scope: Optional[str], of: Registry) -> Optional[type]:
    """Find the class that a type names, as a build would, without building it.

    Args:
        kind (str): A ``type`` of a config.
        scope (str, optional): The scope of the build: the part's ``_scope_``, or the config's ``default_scope``.
        of (Registry): mmengine's root of the registry.

    Returns:
        type, optional: The class; None if there is none.

    Examples:
        >>> find_class('SGD', None, root.OPTIMIZERS).__name__
        'SGD'
    """
    with DefaultScope.overwrite_default_scope(scope), of.switch_scope_and_registry(None) as node:
        try:
            return node.get(kind)
        except RuntimeError:  # mmengine's word for "no such class"
            return None


MODELS = _Node(root.MODELS, 'models', 'store', 'student.segmentor')
HOOKS = _Node(root.HOOKS, 'engine', 'checkpoints.atomic_hook')
LOOPS = _Node(root.LOOPS, 'engine')
DATASETS = _Node(root.DATASETS, 'datasets', 'store')
DATA_SAMPLERS = _Node(root.DATA_SAMPLERS, 'datasets', 'store')
METRICS = _Node(root.METRICS, 'evaluation')
FUNCTIONS = _Node(root.FUNCTIONS, 'datasets')
TRANSFORMS = _Node(root.TRANSFORMS, 'datasets')
OPTIM_WRAPPERS = _Node(root.OPTIM_WRAPPERS, 'models')

# A config with `_base_ = 'mmlgd::...'` is built in the scope mmlgd. Without these nodes, mmengine warns about each of
# them, though it finds the parts elsewhere. The nodes stay empty.
for _parent in (
    root.EVALUATOR,
    root.LOG_PROCESSORS,
    root.MODEL_WRAPPERS,
    root.OPTIMIZERS,
    root.OPTIM_WRAPPER_CONSTRUCTORS,
    root.PARAM_SCHEDULERS,
    root.RUNNERS,
    root.TASK_UTILS,
    root.VISBACKENDS,
    root.VISUALIZERS,
    root.WEIGHT_INITIALIZERS,
):
    _Node(_parent, 'stack')  # mmengine asks for a location
