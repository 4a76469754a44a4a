# At output stride 32: mmpretrain's MobileNetV2 has no dilation.
_base_ = 'fcn_resnet18.py'

model = dict(
    backbone=dict(_delete_=True, **_base_.mobilenetv2),
    decode_head=dict(in_channels=1280),
    auxiliary_head=dict(in_channels=96),
)
