# Your own pictures with index masks: images/{train,val} and annotations/{train,val} in the folder MMLGD_DATA, a mask
# named as its picture but for the suffix. Value k of a mask is line k of the names, counted from 0; the same file is
# model.text.vocabulary in pre-training. MMLGD_VOID is the value of pixels that have no label; if it is 0, value 1 is the
# first name.
_base_ = 'ade20k.py'

from os import getenv  # noqa: E402

from mmlgd.text import load_vocabulary  # noqa: E402

data_root = getenv('MMLGD_DATA') or 'data/masks'
img_suffix = getenv('MMLGD_IMAGE_SUFFIX') or '.jpg'
seg_map_suffix = getenv('MMLGD_MASK_SUFFIX') or '.png'
void = int(getenv('MMLGD_VOID') or '255')
class_names = load_vocabulary(getenv('MMLGD_NAMES') or 'data/masks/names.txt')

num_classes = len(class_names)
reduce_zero_label = void == 0
ignore_index = void or 255

train_pipeline = _base_.train_pipeline
train_pipeline[3].ignore_index = ignore_index

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        img_suffix=img_suffix,
        seg_map_suffix=seg_map_suffix,
        metainfo=dict(classes=class_names),
        reduce_zero_label=reduce_zero_label,
        ignore_index=ignore_index,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        img_suffix=img_suffix,
        seg_map_suffix=seg_map_suffix,
        metainfo=dict(classes=class_names),
        reduce_zero_label=reduce_zero_label,
        ignore_index=ignore_index,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(ignore_index=ignore_index)
test_evaluator = val_evaluator
