# Rare classes are oversampled (1e-3) and images scaled to 640-800 px by the data base of mmdet.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/lvis_v1_instance.py',
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
            checkpoint='work_dirs/lgd_resnet18_8xb256-coslr-90e_in1k_text-lvis-v1/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(in_channels=_base_.resnet18_channels),
    roi_head=dict(bbox_head=dict(num_classes=1203), mask_head=dict(num_classes=1203)),
    # LVIS counts up to 300 objects an image, of any score.
    test_cfg=dict(rcnn=dict(score_thr=0.0001, max_per_img=300)),
)
train_cfg = dict(val_interval=12)  # once, at the end: 20,000 images with 300 boxes each take hours
