# The same with the other phone-sized backbone, of half its width too.
#   TINY_IMAGENET=/my/tiny-imagenet python tools/train.py configs/small/<this file>
_base_ = 'lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,)),
    neck=dict(in_channels=1280),
)
