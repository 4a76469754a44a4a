# Blood cells (BCCD, COCO's format, 3 classes) at 256 x 192 on a CPU:
#   python tools/train.py configs/small/detector_bccd.py --student CHECKPOINT|none --cfg-options data_root=/my/bccd
_base_ = '_base_/detector.py'

data_root = 'data/bccd'
classes = ('red blood cell', 'white blood cell', 'platelet')
epochs = 8

model = dict(bbox_head=dict(num_classes=len(classes)))

cells = dict(metainfo=dict(classes=classes))
train_dataloader = dict(
    dataset=dict(**cells, ann_file='annotations/instances_train.json', data_prefix=dict(img='train'))
)
val_dataloader = dict(dataset=dict(**cells, ann_file='annotations/instances_val.json', data_prefix=dict(img='val')))

param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=10), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
