# Street scenes (CamVid, 11 classes, 11 = no label) at 240 x 180 on a CPU:
#   mmlgd train configs/small/segmentor_camvid.py --student CHECKPOINT|none --cfg-options data_root=/my/camvid
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
void = 11

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
