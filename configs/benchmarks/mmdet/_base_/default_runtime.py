_base_ = ['mmdet::_base_/default_runtime.py', '../../_base_/checks.py']

default_hooks = _base_.checks
