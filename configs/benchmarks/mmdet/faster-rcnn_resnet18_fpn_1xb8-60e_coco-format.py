# For your own data in COCO's format, a few hundred images on one GPU. Nothing here needs an edit:
#   mmlgd train configs/benchmarks/mmdet/<this file> --cfg-options data_root=/my/data names=/my/names.txt
# The folder has train/ and val/ (images), annotations/train.json and annotations/val.json. The names are those in the
# json files, one a line and in their order; the same file is model.text.vocabulary in pre-training.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../_base_/students.py',
    '_base_/schedule_1x.py',
    '_base_/default_runtime.py',
]

# A None below is filled in from these variables, the class names in `names` and their number.
data_root = 'data/detection'
names = 'names.txt'  # in data_root, or any other path
image_size = (1333, 800)  # images fit into so many pixels; one number is a square

model = dict(
    backbone=dict(
        _delete_=True,
        **_base_.resnet18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_1xb256-coslr-200e_images/epoch_200.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(in_channels=_base_.resnet18_channels),
    roi_head=dict(bbox_head=dict(num_classes=None)),
)

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=None,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=None),
        filter_cfg=dict(filter_empty_gt=False, min_size=0),  # images without boxes, and small ones, are data as well
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=None,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        metainfo=dict(classes=None),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)  # the same file as the data set's
test_evaluator = val_evaluator

# 300 images are 38 steps an epoch: a warm-up of about 2 epochs, and a checkpoint at each evaluation.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=60, milestones=[45, 55], gamma=0.1),
]
train_cfg = dict(max_epochs=60, val_interval=5)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=5, max_keep_ckpts=1, save_best='coco/bbox_mAP'))
auto_scale_lr = dict(base_batch_size=8)
