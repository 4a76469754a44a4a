# The demo's detector: ATSS on the quarter-width ResNet-18, a few hundred iterations on the demo world's scenes.
# `tools/demo` runs it twice, from a random backbone (init_cfg=None) and from the distilled student.
_base_ = ['../small/_base_/detector.py', '_base_/world.py']

classes = _base_.things
iterations = 400  # 8 epochs

model = dict(
    backbone=dict(
        base_channels=16,
        stem_channels=16,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/student/epoch_10.pth', prefix='backbone.'),
    ),
    neck=dict(in_channels=[16, 32, 64, 128]),
    bbox_head=dict(num_classes=len(classes)),
)

# The scenes have 128 px and are not resized.
train_dataloader = dict(
    dataset=dict(
        metainfo=dict(classes=classes),
        ann_file='scenes/train.json',
        data_prefix=dict(img='scenes/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(128, 128), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    )
)
val_dataloader = dict(
    batch_size=25,
    dataset=dict(
        metainfo=dict(classes=classes),
        ann_file='scenes/val.json',
        data_prefix=dict(img='scenes/val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(128, 128), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)

default_hooks = dict(logger=dict(interval=25))
