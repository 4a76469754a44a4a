# The same with MobileNetV2, at half its width too:
#   mmlgd train configs/small/<this file> --cfg-options data_root=/my/tiny-imagenet
_base_ = ['lgd_resnet18-half_tiny-imagenet.py', '_base_/mobilenetv2-half.py']

model = dict(backbone=_base_.mobilenetv2)
