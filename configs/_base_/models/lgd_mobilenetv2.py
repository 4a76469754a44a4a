_base_ = 'lgd_resnet18.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=1.0, out_indices=(7,)),
    neck=dict(in_channels=1280),
)
