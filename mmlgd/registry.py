"""mmlgd's registry nodes: children of mmengine's root, so siblings of mmpretrain's, mmdet's and mmseg's.

As children of mmpretrain's nodes, ``type='mmlgd.LGD'`` would be a KeyError from mmdet's scope.
"""

import mmengine.registry as root
from mmengine.registry import Registry

MODELS = Registry('model', parent=root.MODELS, locations=['mmlgd.models'])
HOOKS = Registry('hook', parent=root.HOOKS, locations=['mmlgd.engine'])
DATASETS = Registry('dataset', parent=root.DATASETS, locations=['mmlgd.datasets'])
DATA_SAMPLERS = Registry('data sampler', parent=root.DATA_SAMPLERS, locations=['mmlgd.datasets'])
METRICS = Registry('metric', parent=root.METRICS, locations=['mmlgd.evaluation'])
FUNCTIONS = Registry('function', parent=root.FUNCTIONS, locations=['mmlgd.datasets'])
TRANSFORMS = Registry('transform', parent=root.TRANSFORMS, locations=['mmlgd.datasets'])

# A config with `_base_ = 'mmlgd::...'` is built in the scope mmlgd; without a node there, mmengine warns at each of
# these, though it finds what it looks for. The nodes stay empty.
_INHERITED = (
    root.EVALUATOR,
    root.LOG_PROCESSORS,
    root.LOOPS,
    root.OPTIMIZERS,
    root.OPTIM_WRAPPERS,
    root.OPTIM_WRAPPER_CONSTRUCTORS,
    root.PARAM_SCHEDULERS,
    root.RUNNERS,
    root.VISBACKENDS,
    root.VISUALIZERS,
    root.WEIGHT_INITIALIZERS,
)
for _parent in _INHERITED:
    Registry(_parent.name, parent=_parent, scope='mmlgd', locations=['mmlgd'])
