_base_ = 'mask-rcnn_resnet18_fpn_sample1e-3_ms-1x_lvis-v1.py'

model = dict(
    backbone=dict(
        _delete_=True,
        **_base_.mobilenetv2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_mobilenetv2_8xb256-coslr-90e_in1k_text-lvis-v1/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(in_channels=_base_.mobilenetv2_channels),
)
