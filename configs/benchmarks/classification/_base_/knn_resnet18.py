# Weighted k nearest neighbours, no training; `memory` (the labelled pictures) comes from the data set's config.
model = dict(
    type='mmlgd.KNNClassifier',
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        out_indices=(3,),
        norm_eval=False,
        zero_init_residual=False,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_8xb256-coslr-200e_in1k/epoch_200.pth',
            prefix='backbone.',
        ),
    ),
    k=20,
    temperature=0.07,
    data_preprocessor=dict(
        type='mmpretrain.ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
)
