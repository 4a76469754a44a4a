_base_ = '../../_base_/imagenet_statistics.py'

# The backbones of detectors and segmentors: the class of pre-training, so that every weight has a place, with four outputs
# at strides 4, 8, 16 and 32. Batch norm is trained and nothing is frozen, so the same config also serves a random start. (SyncBN is plain batch norm in a run that is not distributed.)
resnet18 = dict(
    type='mmpretrain.ResNet',
    depth=18,
    zero_init_residual=False,  # a random start as in pre-training
    out_indices=(0, 1, 2, 3),
    frozen_stages=-1,
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    norm_eval=False,
)
resnet18_channels = [64, 128, 256, 512]

# The last output comes from the last layer (index 7): a detector that ends earlier would leave weights unused.
mobilenetv2 = dict(
    type='mmpretrain.MobileNetV2',
    out_indices=(1, 2, 4, 7),
    frozen_stages=-1,
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    norm_eval=False,
)
mobilenetv2_channels = [24, 32, 96, 1280]
