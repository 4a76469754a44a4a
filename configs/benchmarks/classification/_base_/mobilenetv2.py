_base_ = 'resnet18.py'

model = dict(
    backbone=dict(
        _delete_=True,
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
