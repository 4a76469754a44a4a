_base_ = '../../../_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=1))
# Instead of the check of names, since a classifier has no bank: every key of the student must be found.
custom_hooks = [dict(type='mmlgd.PretrainedCheckHook')]
