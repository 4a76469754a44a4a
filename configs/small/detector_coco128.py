# The first 128 pictures of COCO's training and validation sets, 80 classes, at 256 px on a CPU:
#   MMLGD_COCO128=/my/coco128 mmlgd train configs/small/detector_coco128.py --student CHECKPOINT|none
_base_ = '_base_/detector.py'

from os import getenv  # noqa: E402

data_root = getenv('MMLGD_COCO128') or 'data/coco128'
epochs = 24

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[2].scale = (256, 256)
test_pipeline = _base_.val_dataloader.dataset.pipeline
test_pipeline[1].scale = (256, 256)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017'),
        pipeline=test_pipeline,
    )
)
val_evaluator = dict(ann_file=f'{data_root}/annotations/instances_val2017.json')

param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
