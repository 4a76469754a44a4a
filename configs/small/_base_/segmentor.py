# A segmentor that a CPU trains in minutes: mmsegmentation's FPN head on a narrow ResNet-18.
_base_ = ['fine_tuning.py', 'backbones.py']

default_scope = 'mmseg'

# `--cfg-options arch=lite0` chooses the other backbone.
arch = 'resnet18'
archs = dict(
    resnet18=dict(model=dict(**_base_.resnet18, decode_head=dict(in_channels=_base_.resnet18_channels))),
    lite0=dict(model=dict(**_base_.lite0, decode_head=dict(in_channels=_base_.lite0_channels))),
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
        test_cfg=dict(size_divisor=32),
    ),
    pretrained=None,
    decode_head=dict(
        type='FPNHead',
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=48,
        dropout_ratio=0.0,
        num_classes=19,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

# A config of a data set gives data_root, folders, suffixes and classes. A None below is filled in from `data_root` and
# `image_size`. Masks are loaded after the resize to evaluate: predictions are compared at the image's own size.
image_size = 256  # images fit into a square of so many pixels, or into (width, height)
train_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root=None,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=None,
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    ),
)
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
val_cfg = dict()
