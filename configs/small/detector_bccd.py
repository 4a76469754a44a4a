# Blood cells (BCCD, COCO's format, 3 classes) at 256 x 192 on a CPU:
#   MMLGD_BCCD=/my/bccd mmlgd train configs/small/detector_bccd.py --student CHECKPOINT|none
_base_ = '_base_/detector.py'

from os import getenv  # noqa: E402

data_root = getenv('MMLGD_BCCD') or 'data/bccd'
classes = ('red blood cell', 'white blood cell', 'platelet')
epochs = 8

model = dict(bbox_head=dict(num_classes=len(classes)))

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[2].scale = (256, 256)
test_pipeline = _base_.val_dataloader.dataset.pipeline
test_pipeline[1].scale = (256, 256)
cells = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    dataset=dict(
        **cells,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        **cells, ann_file='annotations/instances_val.json', data_prefix=dict(img='val'), pipeline=test_pipeline
    )
)
val_evaluator = dict(ann_file=f'{data_root}/annotations/instances_val.json')

param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
