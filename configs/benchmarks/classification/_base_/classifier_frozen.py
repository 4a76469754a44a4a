# All stages frozen, batch-norm statistics included. MobileNetV2's `frozen_stages` leaves out the statistics of its first
# norm, which `norm_eval` freezes, and its last convolution, see linear_100e.py.
_base_ = 'classifier.py'

archs = dict(
    resnet18=dict(model=dict(backbone=dict(frozen_stages=4, norm_eval=True))),
    mobilenetv2=dict(model=dict(backbone=dict(frozen_stages=7, norm_eval=True))),
)
