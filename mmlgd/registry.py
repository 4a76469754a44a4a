"""mmlgd's registry node: a child of mmengine's root, so a sibling of mmpretrain's, mmdet's and mmseg's.

As a child of mmpretrain's node, ``type='mmlgd.LGD'`` would be a KeyError from mmdet's scope.
"""

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['mmlgd.models'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, locations=['mmlgd.engine'])
