# Three banks for MobileNetV2, see lgd-queue_resnet18-half_tiny-imagenet.py.
_base_ = 'lgd-queue_resnet18-half_tiny-imagenet.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,)),
    neck=dict(in_channels=1280),
)
