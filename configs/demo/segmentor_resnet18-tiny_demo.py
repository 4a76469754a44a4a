# The demo's segmentor: mmsegmentation's FPN head on the quarter-width ResNet-18, a few hundred iterations on the
# demo world's scenes. `tools/demo` runs it twice, from a random backbone (init_cfg=None) and from the distilled student.
demo_root = '{{$MMLGD_DEMO:work_dirs/demo}}'  # tools/demo says where
default_scope = 'mmseg'
custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)

classes = ('background', *open(f'{demo_root}/world/names.txt', encoding='utf-8').read().split())
iterations, batch = 250, 8

model = dict(
    type='EncoderDecoder',
    # ImageNet's statistics, as the student was trained with.
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(128, 128),
    ),
    pretrained=None,
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=16,
        stem_channels=16,
        zero_init_residual=False,
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint=f'{demo_root}/student/epoch_10.pth', prefix='backbone.'),
    ),
    decode_head=dict(
        type='FPNHead',
        in_channels=[16, 32, 64, 128],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=48,
        dropout_ratio=0.0,
        num_classes=len(classes),
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        # Five pixels of six are ground: at full weight, a short training would learn nothing but that.
        loss_decode=dict(type='CrossEntropyLoss', class_weight=[0.2] + [1.0] * (len(classes) - 1)),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

metainfo = dict(classes=classes)
train_dataloader = dict(
    batch_size=batch,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root=f'{demo_root}/world',
        data_prefix=dict(img_path='scenes/train', seg_map_path='scenes/masks/train'),
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=25,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=f'{demo_root}/world',
        data_prefix=dict(img_path='scenes/val', seg_map_path='scenes/masks/val'),
        img_suffix='.png',
        metainfo=metainfo,
        test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_dataloader = val_dataloader
test_evaluator = val_evaluator

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=4e-3, weight_decay=0.05))
param_scheduler = [dict(type='OneCycleLR', eta_max=4e-3, total_steps=iterations, by_epoch=False, pct_start=0.2)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=25),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=iterations),
)
log_processor = dict(by_epoch=False)
