# A student of LGD pre-training under mmpretrain's linear head: the same backbone, the same image statistics.
# `--cfg-options arch=mobilenetv2` chooses the other student, `mmlgd train --student FILE|none|torchvision://resnet18`
# the start weights.
_base_ = '../../../_base_/imagenet_statistics.py'

arch = 'resnet18'
archs = dict(
    resnet18=dict(
        model=dict(
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
            head=dict(in_channels=512),
        )
    ),
    mobilenetv2=dict(
        model=dict(
            backbone=dict(
                type='mmpretrain.MobileNetV2',
                widen_factor=1.0,
                out_indices=(7,),
                init_cfg=dict(
                    type='Pretrained',
                    checkpoint='work_dirs/lgd_mobilenetv2_8xb256-coslr-200e_in1k/epoch_200.pth',
                    prefix='backbone.',
                ),
            ),
            head=dict(in_channels=1280),
        )
    ),
)

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)),
    data_preprocessor=dict(**_base_.imagenet_statistics, to_rgb=True),
)
