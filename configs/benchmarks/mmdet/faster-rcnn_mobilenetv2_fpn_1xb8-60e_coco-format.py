# As faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py, which describes the layout of your data.
_base_ = 'faster-rcnn_resnet18_fpn_1xb8-60e_coco-format.py'

model = dict(
    backbone=dict(
        _delete_=True,
        **_base_.mobilenetv2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_mobilenetv2_8xb256-coslr-90e_in1k/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(in_channels=_base_.mobilenetv2_channels),
)
