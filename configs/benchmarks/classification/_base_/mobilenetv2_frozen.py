# All stages frozen. `norm_eval` also holds the statistics of the first convolution's norm, which `frozen_stages`
# forgets; the last convolution is held by its learning rate, see linear_100e_mobilenetv2.py.
_base_ = 'mobilenetv2.py'

model = dict(backbone=dict(frozen_stages=7, norm_eval=True))
