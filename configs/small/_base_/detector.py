# A detector that a CPU trains in minutes: mmdetection's ATSS on a narrow ResNet-18, strides 8, 16 and 32.
_base_ = ['fine_tuning.py', 'backbones.py']

default_scope = 'mmdet'

# `--cfg-options arch=lite0` chooses the other backbone.
arch = 'resnet18'
archs = dict(
    resnet18=dict(model=dict(**_base_.resnet18, neck=dict(in_channels=_base_.resnet18_channels))),
    lite0=dict(model=dict(**_base_.lite0, neck=dict(in_channels=_base_.lite0_channels))),
)
model = dict(
    type='ATSS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    neck=dict(type='FPN', out_channels=48, start_level=1, num_outs=3),
    bbox_head=dict(
        type='ATSSHead',
        num_classes=80,
        in_channels=48,
        feat_channels=48,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], octave_base_scale=4, scales_per_octave=1, strides=[8, 16, 32]
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[0.1, 0.1, 0.2, 0.2]),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1),
    test_cfg=dict(nms_pre=500, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100),
)

# A config of a data set gives data_root, json files, image folders and classes. A None below is filled in from `data_root`
# and `image_size`.
image_size = 256  # images fit into a square of so many pixels, or into (width, height)
train_dataloader = dict(
    dataset=dict(
        type='CocoDataset',
        data_root=None,
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
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=None,
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
val_evaluator = dict(type='CocoMetric', metric='bbox', ann_file=None)  # the same file as the data set's
val_cfg = dict()

optim_wrapper = dict(clip_grad=dict(max_norm=10))
