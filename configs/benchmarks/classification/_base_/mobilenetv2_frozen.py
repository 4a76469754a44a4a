# All stages are frozen. `norm_eval` also freezes the statistics of the first convolution's norm, which `frozen_stages`
# leaves out; a learning rate of 0 freezes the last convolution, see linear_100e_mobilenetv2.py.
_base_ = 'mobilenetv2.py'

model = dict(backbone=dict(frozen_stages=7, norm_eval=True))
