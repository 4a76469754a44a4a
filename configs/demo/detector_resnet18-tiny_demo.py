# The demo's detector: mmdetection's ATSS on the quarter-width ResNet-18, a few epochs on the demo world's scenes.
# `tools/demo` runs it twice, from a random backbone (init_cfg=None) and from the distilled student.
demo_root = '{{$MMLGD_DEMO:work_dirs/demo}}'  # tools/demo says where
default_scope = 'mmdet'
custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)

classes = tuple(open(f'{demo_root}/world/names.txt', encoding='utf-8').read().split())
epochs, batch = 8, 8

model = dict(
    type='ATSS',
    # ImageNet's statistics, as the student was trained with.
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=16,
        stem_channels=16,
        zero_init_residual=False,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint=f'{demo_root}/student/epoch_10.pth', prefix='backbone.'),
    ),
    neck=dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=48, start_level=1, num_outs=3),
    bbox_head=dict(
        type='ATSSHead',
        num_classes=len(classes),
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
    test_cfg=dict(nms_pre=200, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=20),
)

metainfo = dict(classes=classes)
train_dataloader = dict(
    batch_size=batch,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=f'{demo_root}/world',
        ann_file='scenes/train.json',
        data_prefix=dict(img='scenes/train'),
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=25,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=f'{demo_root}/world',
        ann_file='scenes/val.json',
        data_prefix=dict(img='scenes/val'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(128, 128), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
val_evaluator = dict(type='CocoMetric', ann_file=f'{demo_root}/world/scenes/val.json', metric='bbox')
test_dataloader = val_dataloader
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05), clip_grad=dict(max_norm=10)
)
param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=25), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
log_processor = dict(by_epoch=True)
