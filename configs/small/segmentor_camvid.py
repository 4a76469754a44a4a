# Street scenes (CamVid, 11 classes, 11 = no label) at 240 x 180 on a CPU:
#   python tools/train.py configs/small/segmentor_camvid.py --student CHECKPOINT|none --cfg-options data_root=/my/camvid
_base_ = '_base_/segmentor.py'

data_root = 'data/camvid'
classes = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'sign',
    'fence',
    'car',
    'pedestrian',
    'bicyclist',
)
void, iterations = 11, 300

model = dict(data_preprocessor=dict(seg_pad_val=void), decode_head=dict(num_classes=len(classes), ignore_index=void))

resize = dict(type='Resize', scale=(240, 180))
streets = dict(metainfo=dict(classes=classes), img_suffix='.jpg', ignore_index=void)
train_dataloader = dict(
    dataset=dict(
        **streets,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            resize,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        **streets,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            resize,
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
)
val_evaluator = dict(ignore_index=void)

param_scheduler = [dict(type='OneCycleLR', eta_max=2e-3, total_steps=iterations, by_epoch=False, pct_start=0.2)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=iterations),
)
