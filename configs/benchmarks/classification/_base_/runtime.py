_base_ = '../../../_base_/runtime.py'

default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=1),
    pretrained=dict(type='mmlgd.PretrainedCheckHook'),  # every key of the student must be found
)
