# MobileNetV2's `frozen_stages` ends before its last convolution, and freezes only after DDP has counted the parameters.
_base_ = 'linear_100e.py'

optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'backbone.conv2': dict(lr_mult=0)}))
find_unused_parameters = True
