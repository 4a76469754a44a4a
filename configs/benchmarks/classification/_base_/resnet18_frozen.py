# All stages frozen, batch-norm statistics included.
_base_ = 'resnet18.py'

model = dict(backbone=dict(frozen_stages=4, norm_eval=True))
