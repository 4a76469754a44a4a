# Blood cells (BCCD, COCO's format, 3 classes) at 256 x 192 on a CPU:
#   mmlgd train configs/small/detector_bccd.py --student CHECKPOINT|none --cfg-options data_root=/my/bccd
_base_ = '_base_/detector.py'

data_root = 'data/bccd'
classes = ('red blood cell', 'white blood cell', 'platelet')

model = dict(bbox_head=dict(num_classes=len(classes)))

cells = dict(metainfo=dict(classes=classes))
train_dataloader = dict(
    dataset=dict(**cells, ann_file='annotations/instances_train.json', data_prefix=dict(img='train'))
)
val_dataloader = dict(dataset=dict(**cells, ann_file='annotations/instances_val.json', data_prefix=dict(img='val')))
