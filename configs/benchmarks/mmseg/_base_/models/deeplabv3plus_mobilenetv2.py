# mmpretrain's MobileNetV2 has no dilation, so its output stride is 32 and not 8. The atrous rates (1, 12, 24, 36) are
# divided by four, so that they cover the same area of the image.
_base_ = 'deeplabv3plus_resnet18.py'

model = dict(
    backbone=dict(_delete_=True, **_base_.mobilenetv2),
    decode_head=dict(in_channels=1280, dilations=(1, 3, 6, 9), c1_in_channels=24),
    auxiliary_head=dict(in_channels=96),
)
