_base_ = ['detector_runway.py', '_base_/efficientnet-lite0.py']

model = dict(
    data_preprocessor=_base_.lite0_statistics,
    backbone=_base_.lite0,
    neck=dict(in_channels=_base_.lite0_channels),
)
