_base_ = 'lgd_resnet18.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=1.0, out_indices=(7,)),
)
