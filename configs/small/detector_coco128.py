# The first 128 images of COCO's training and validation sets, 80 classes, at 256 px on a CPU:
#   mmlgd train configs/small/detector_coco128.py --student CHECKPOINT|none --cfg-options \
#       data_root=/my/coco128
_base_ = '_base_/detector.py'

data_root = 'data/coco128'
epochs = 24

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

param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
