# SEED for MobileNetV2, see seed_resnet18-half_tiny-imagenet.py.
_base_ = ['seed_resnet18-half_tiny-imagenet.py', '../_base_/mobilenetv2-half.py']

model = dict(backbone=_base_.mobilenetv2)
