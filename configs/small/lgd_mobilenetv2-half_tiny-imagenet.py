# The same with the other phone-sized backbone, of half its width too.
#   TINY_IMAGENET=/my/tiny-imagenet python tools/train.py configs/small/<this file>
_base_ = ['lgd_resnet18-half_tiny-imagenet.py', '_base_/mobilenetv2-half.py']

model = dict(backbone=_base_.mobilenetv2)
