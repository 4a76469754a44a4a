# The first 128 images of COCO's training and validation sets, 80 classes, at 256 px on a CPU:
#   mmlgd train configs/small/detector_coco128.py --student CHECKPOINT|none --cfg-options \
#       data_root=/my/coco128
_base_ = '_base_/detector.py'

data_root = 'data/coco128'

train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017'),
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017'),
    )
)
