# MobileNetV2 on the labels, see supervised_resnet18-half_tiny-imagenet.py.
_base_ = ['supervised_resnet18-half_tiny-imagenet.py', '../_base_/mobilenetv2-half.py']

model = dict(backbone=_base_.mobilenetv2, head=dict(in_channels=_base_.mobilenetv2_channels))
