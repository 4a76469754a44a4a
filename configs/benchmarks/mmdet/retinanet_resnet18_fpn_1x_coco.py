_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../_base_/students.py',
    '_base_/schedule_1x.py',
    '_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        **_base_.resnet18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_8xb256-coslr-90e_in1k_text-coco/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(in_channels=_base_.resnet18_channels),
)
