# Your own images with index masks: images/{train,val} and annotations/{train,val} in `data_root`. A mask has the name of its
# image and another suffix. Value k of a mask is line k of `names`, counted from 0; the same file is model.text.vocabulary
# in pre-training.
_base_ = 'ade20k.py'

# A None below or in the model is filled in from these variables, the class names in `names` and their number.
data_root = 'data/masks'
names = 'names.txt'  # in data_root, or any other path
img_suffix = '.jpg'
seg_map_suffix = '.png'
ignore_index = 255  # the value of pixels without a label; if that is 0, keep 255 here and set the next variable
image_size = (
    2048,
    512,
)  # images fit into so many pixels; crops are squares of the smaller side. One number is a square
reduce_zero_label = False  # True: 0 is no label, and value 1 is the first name

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='RandomResize', scale=None, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='mmseg.RandomCrop', crop_size=None, cat_max_ratio=0.75, ignore_index=None),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='mmseg.PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=None,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        img_suffix=None,
        seg_map_suffix=None,
        metainfo=dict(classes=None),
        reduce_zero_label=None,
        ignore_index=None,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=None,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        img_suffix=None,
        seg_map_suffix=None,
        metainfo=dict(classes=None),
        reduce_zero_label=None,
        ignore_index=None,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=None, keep_ratio=True),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmseg.PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(ignore_index=None)
test_evaluator = val_evaluator
